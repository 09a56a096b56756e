"""What teams glue together today: a FastAPI no-op behind uvicorn. POST /predict returns the length of the body."""

from fastapi import FastAPI, Request

app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> dict[str, object]:
    body = await request.body()
    return {"status": "succeeded", "output": len(body)}
