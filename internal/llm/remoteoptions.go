package llm

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/tmc/langchaingo/llms"
)

// members are what langchaingo's client has no way to send: members of the request's body and, for Ollama, of its
// "options"; nil values take out what the client would send. What the server's protocol has no word for is an
// [OptionError]. opts loses what is sent so.
func (m *remote) members(opts *llms.CallOptions, local LocalOptions) (body, options map[string]any, err error) {
	no := func(option string) error {
		return &OptionError{option, "a model on a server does not take it through docent; a model file (.gguf) does"}
	}
	streamed := local.Deltas != nil || opts.StreamingFunc != nil || opts.StreamingReasoningFunc != nil
	several := max(opts.N, opts.CandidateCount) > 1
	switch {
	case local.Grammar != "":
		return nil, nil, no("grammar")
	case local.Regex != "":
		return nil, nil, no("regex")
	case local.LogProbs != 0:
		return nil, nil, no("logprobs")
	case local.Adapter != "" && local.Adapter != NoAdapter:
		return nil, nil, no("adapter")
	case several && streamed:
		return nil, nil, &OptionError{"n", "several choices of a model on a server cannot be streamed"}
	}
	if m.provider == Ollama {
		return m.ollamaMembers(opts, local, several, no)
	}
	switch {
	case local.Mirostat != 0:
		return nil, nil, no("mirostat")
	case local.Typical != 0 && local.Typical != 1:
		return nil, nil, no("typical_p")
	}
	body = map[string]any{}
	if local.Schema != nil {
		body["response_format"] = map[string]any{"type": "json_schema", "json_schema": map[string]any{
			"name": "answer", "strict": true, "schema": json.RawMessage(local.Schema),
		}}
	}
	if len(local.Bias) > 0 {
		bias := map[string]float32{}
		for id, b := range local.Bias {
			bias[strconv.Itoa(int(id))] = b
		}
		body["logit_bias"] = bias
	}
	if local.OneCall && len(opts.Tools) > 0 {
		body["parallel_tool_calls"] = false
	}
	if local.OwnTemperature && opts.Temperature == 0 {
		body["temperature"] = nil
	}
	for name, v := range map[string]float64{
		"top_p": opts.TopP, "top_k": float64(opts.TopK), "min_p": local.MinP, "repetition_penalty": opts.RepetitionPenalty,
	} {
		if v != 0 {
			body[name] = v
		}
	}
	return body, nil, nil
}

// ollamaMembers are members for Ollama.
func (m *remote) ollamaMembers(opts *llms.CallOptions, local LocalOptions, several bool, no func(string) error) (body, options map[string]any, err error) {
	switch {
	case several:
		return nil, nil, &OptionError{"n", "Ollama makes one choice"}
	case len(local.Bias) > 0:
		return nil, nil, no("logit_bias")
	}
	body, options = map[string]any{}, map[string]any{}
	if local.Schema != nil {
		body["format"] = json.RawMessage(local.Schema)
	}
	if local.OwnTemperature && opts.Temperature == 0 {
		options["temperature"] = nil
	}
	for name, v := range map[string]float64{
		"min_p": local.MinP, "typical_p": local.Typical, "mirostat": float64(local.Mirostat), "mirostat_tau": local.MirostatTau,
		"mirostat_eta": local.MirostatEta, "repeat_last_n": float64(local.RepeatLast),
	} {
		if v != 0 {
			options[name] = v
		}
	}
	return body, options, nil
}

// inDeltas makes deltas of what the client streams.
func inDeltas(opts *llms.CallOptions, deltas func(Delta) error) {
	text, both := opts.StreamingFunc, opts.StreamingReasoningFunc
	opts.StreamingFunc = nil
	opts.StreamingReasoningFunc = func(ctx context.Context, thought, chunk []byte) error {
		if err := deltas(Delta{Thought: string(thought), Text: string(chunk)}); err != nil {
			return err
		}
		if both != nil {
			if err := both(ctx, thought, chunk); err != nil {
				return err
			}
		}
		if text != nil && len(chunk) > 0 {
			return text(ctx, chunk)
		}
		return nil
	}
}
