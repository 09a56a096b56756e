"""The unmodified `openai` of PyPI against /openai/v1. Prints a line for each step; the test compares them."""

import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key=sys.argv[2])


def ask(content, **more):
    messages = [{"role": "user", "content": content}]
    return client.chat.completions.create(model="org/chat", messages=messages, **more)


assert [model.id for model in client.models.list()] == ["org/chat"]
print("models")
assert ask("hello you").choices[0].message.content == "hello you"
print("chat")
words = [chunk.choices[0].delta.content for chunk in ask("one two three", stream=True)]
assert words == ["one", "two", "three", None], words
print("stream")
assert client.embeddings.create(model="org/chat", input="x", encoding_format="float").data[0].embedding == [0.25, -1]
print("embeddings")
try:
    ask("bad")
except openai.BadRequestError as error:
    assert error.code == "bad" and "too bad" in error.message
    print("its own error")
try:
    client.chat.completions.create(model="unknown", messages=[])
except openai.NotFoundError as error:
    assert error.code == "model_not_found", error.code
    print("an error of the gateway")
with ask("endless", stream=True) as stream:
    assert next(iter(stream)).choices[0].delta.content == "endless"
print("left")
