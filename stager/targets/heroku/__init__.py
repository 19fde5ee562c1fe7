"""Heroku's Platform API: whose login, what may be asked, and how a slug comes to run."""
