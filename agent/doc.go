// Package agent reaches goals in steps: a language model thinks, calls a tool, reads what came back,
// and goes on until it can answer.
//
//	a, err := agent.New(agent.Config{
//		Model: model,
//		Tools: []tools.Tool{agent.NewKnowledgeSearch(search, 0), agent.Calculator{}},
//	})
//	if err != nil { … }
//	for event, err := range a.Stream(ctx, "What does a week of unused leave pay at 8,400 a month?") { … }
//
// Tools are langchaingo's tools.Tool and models its llms.Model. Calls that the model makes through the
// model server's own tool calling are used as they come; a model without it writes its calls as text,
// and [ParseReply] reads every shape of that known to occur, in English and Chinese. A tool that
// fails, panics or hangs is an observation for the model, not the end of the run. A run has a budget
// of steps and of time and always ends in an answer within it: from the model if it can give one, else
// from the passages found so far. What the model thought on the way is never part of the answer.
//
// Text that tools return is data. Nothing in it is ever parsed as a call.
package agent
