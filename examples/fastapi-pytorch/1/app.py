"""An ordinary FastAPI server with a PyTorch model: nothing in it knows of Postern."""

import torch
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

torch.manual_seed(7)
WORDS = ["good", "lovely", "great", "bad", "awful", "sad"]
model = torch.nn.Linear(len(WORDS), 1)
with torch.no_grad():
    model.weight[:] = torch.tensor([[1.0, 2.0, 1.5, -1.0, -2.0, -1.5]])
    model.bias[:] = 0.0
model.eval()

app = FastAPI()


class Text(BaseModel):
    text: str


def score(text: str) -> float:
    words = text.lower().split()
    counts = torch.tensor([[float(words.count(word)) for word in WORDS]])
    with torch.inference_mode():
        return torch.sigmoid(model(counts)).item()


@app.get("/healthz")
def healthz() -> dict[str, bool]:
    return {"ok": True}


@app.post("/predict")
def predict(body: Text) -> dict[str, float]:
    return {"positive": round(score(body.text), 4)}


@app.post("/words")
def words(body: Text) -> StreamingResponse:
    """Each word's score by itself, as an event, as soon as it is known."""
    return StreamingResponse(
        (f"data: {word} {score(word):.2f}\n\n" for word in body.text.split()), media_type="text/event-stream"
    )
