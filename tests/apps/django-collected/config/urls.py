from django.contrib import admin
from django.shortcuts import render
from django.urls import path
from num2words import num2words

urlpatterns = [
    path("", lambda request: render(request, "shop/index.html", {"things": num2words(42)})),
    path("admin/", admin.site.urls),
]
