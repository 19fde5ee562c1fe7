"""A small FastAPI app; its answer is validated by a compiled dependency (pydantic-core)."""

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Greeting(BaseModel):
    text: str


@app.get("/")
def index() -> Greeting:
    return Greeting(text="hello from fastapi-uv")
