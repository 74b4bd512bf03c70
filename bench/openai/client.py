"""Tries docent's OpenAI protocol with the official client.

    docent serve &    # with a collection, and a language model for the second half
    python bench/openai/client.py [--url http://127.0.0.1:8420/v1] --collection NAME --question TEXT

Needs: pip install openai. Every check prints a line; the first that fails ends the program with a traceback.
"""

import argparse
import json

import openai

args = argparse.ArgumentParser()
args.add_argument("--url", default="http://127.0.0.1:8420/v1")
args.add_argument("--collection", required=True)
args.add_argument("--question", required=True)
args = args.parse_args()
client = openai.OpenAI(base_url=args.url, api_key="none", max_retries=0)
user = [{"role": "user", "content": args.question}]


def ok(name, value=""):
    print(f"ok  {name}  {str(value)[:100]!r}")


def refused(name, error, code, **request):
    try:
        client.chat.completions.create(**request)
    except error as e:
        assert e.code == code, e
        ok(name, e.message)
    else:
        raise AssertionError(name)


ids = [m.id for m in client.models.list()]
documents = "docent/" + args.collection
assert documents in ids, ids
ok("models", ids)
assert client.models.retrieve(documents).id == documents
ok("one model")
refused("unknown model", openai.NotFoundError, "model_not_found", model="gpt-4", messages=user)

reply = client.chat.completions.create(model=documents, messages=user)
citations = reply.model_extra["citations"]
assert reply.choices[0].message.content and reply.choices[0].finish_reason in ("stop", "length")
ok("answer from documents", reply.choices[0].message.content)
ok("its citations", [c["path"] for c in citations])

text, last = "", None
for chunk in client.chat.completions.create(model=documents, messages=user, stream=True):
    last = chunk
    text += chunk.choices[0].delta.content or ""
assert (last.model_extra["docent"].get("answer") or text) == reply.choices[0].message.content
assert last.model_extra["citations"] == citations
ok("the same as a stream")

encoders = []
for model in ids:
    if model.startswith("docent/"):
        continue
    try:
        e = client.embeddings.create(model=model, input=["one text", "another"])
        assert len(e.data) == 2 and len(e.data[0].embedding) == len(e.data[1].embedding)
        encoders.append(model)
        ok("embeddings of " + model, len(e.data[0].embedding))
    except openai.NotFoundError:
        pass

for model in ids:
    if model.startswith("docent/") or model in encoders:
        continue
    ask = dict(model=model, messages=[{"role": "user", "content": "Name a colour."}], max_tokens=200, seed=1)
    whole = client.chat.completions.create(**ask)
    ok("language model " + model, whole.choices[0].message.content)
    text, usage = "", None
    for chunk in client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
    assert text == whole.choices[0].message.content and usage.completion_tokens == whole.usage.completion_tokens
    ok("the same as a stream", usage)
    several = client.chat.completions.create(**ask, n=3, temperature=1.2)
    assert len(several.choices) == 3
    ok("three choices", [c.message.content for c in several.choices])
    likely = client.chat.completions.create(**ask, logprobs=True, top_logprobs=2)
    assert len(likely.choices[0].logprobs.content[0].top_logprobs) == 2
    ok("likelihoods", likely.choices[0].logprobs.content[0].logprob)
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "green"]}}, "required": ["colour"]}
    formed = client.chat.completions.create(**ask, response_format={"type": "json_schema", "json_schema": {"name": "c", "schema": schema}})
    assert json.loads(formed.choices[0].message.content)["colour"] in ("red", "green")
    ok("schema", formed.choices[0].message.content)
    tools = [{"type": "function", "function": {"name": "paint", "parameters": schema}}]
    whole = client.chat.completions.create(**ask, tools=tools, tool_choice="required")
    call = whole.choices[0].message.tool_calls[0]
    assert call.function.name == "paint" and json.loads(call.function.arguments)["colour"] in ("red", "green")
    ok("call of a tool", call.function)
    with client.chat.completions.stream(**ask, tools=tools, tool_choice="required") as stream:
        pieces = sum(e.type == "tool_calls.function.arguments.delta" for e in stream)
        streamed = stream.get_final_completion().choices[0].message.tool_calls[0]
    assert json.loads(streamed.function.arguments) == json.loads(call.function.arguments)
    ok("the same as a stream", f"{pieces} pieces")
    answered = client.chat.completions.create(**{**ask, "messages": ask["messages"] + [
        {"role": "assistant", "tool_calls": [call.model_dump()]},
        {"role": "tool", "tool_call_id": call.id, "content": "done"},
    ]}, tools=tools)
    ok("a tool's result", answered.choices[0].message.content)
    formed = client.chat.completions.create(**ask, extra_body={"regex": "[a-c]{5}"})
    assert len(formed.choices[0].message.content) == 5
    ok("regular expression", formed.choices[0].message.content)
    refused("too long", openai.BadRequestError, "context_length_exceeded", **{**ask, "messages": [{"role": "user", "content": "word " * 300_000}]})
print("all of it works")
