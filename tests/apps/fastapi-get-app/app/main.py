"""An application that a function makes, as templates for larger ones have it."""

from fastapi import FastAPI

from app.routes import router


def get_application() -> FastAPI:
    application = FastAPI(title="shop")
    application.include_router(router)
    return application


app = get_application()
