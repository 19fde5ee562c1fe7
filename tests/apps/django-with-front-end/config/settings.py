"""A site whose scripts a front-end tool puts together; where its static files are collected, the platform may say."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent


def folder(name):
    return Path(os.environ.get("SHOP_FILES") or BASE_DIR) / name


SECRET_KEY = os.environ.get("SECRET_KEY", "only-for-the-sample")
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["django.contrib.staticfiles"]
MIDDLEWARE = ["whitenoise.middleware.WhiteNoiseMiddleware", "django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "config.urls"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [BASE_DIR / "pages"]}]
WSGI_APPLICATION = "config.wsgi.application"
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "web" / "dist"]
STATIC_ROOT = folder("collected")
STORAGES = {"staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}}
USE_TZ = True
