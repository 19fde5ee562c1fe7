"""One page."""

import django
from django.http import HttpRequest, HttpResponse
from django.urls import path


def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"hello from Django {django.__version__}", content_type="text/plain")


urlpatterns = [path("", index)]
