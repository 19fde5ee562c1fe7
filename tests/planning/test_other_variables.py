"""Variables that other platforms' files set: named with the line to write, unless the app sets them for stager."""

from __future__ import annotations

import pytest

from stager.planning.detection.other_variables import remarks
from stager.tree import SourceTree

RENDER = """services:
  - type: web
    envVars:
      - {key: MODE, value: fast}
      - {key: SECRET, generateValue: true}
envVarGroups:
  - name: x
    envVars: [{key: LEVEL, value: 3}]
"""
NAMED = [
    ("app.json", '{"env": {"A": "1", "B": {"value": "x", "description": "y"}, "C": {"required": true}}}', "A, B"),
    ("app.json", '{"env": {"KEY": {"generator": "secret"}, "EMPTY": ""}}', ""),
    ("app.json", '{"env": ["A"]}', ""),
    ("app.json", "{not JSON", ""),
    ("fly.toml", "[env]\nMODE = 'fast'\nPORT = 8080\n", "MODE"),
    ("netlify.toml", "[build.environment]\nVITE_API = '/api'\n", "VITE_API"),
    ("vercel.json", '{"env": {"B": "1"}, "build": {"env": {"A": "2"}}}', "A, B"),
    ("app.yaml", "runtime: python312\nenv_variables:\n  MODE: fast\n", "MODE"),
    ("manifest.yml", "applications:\n- name: x\n  env:\n    MODE: fast\n    NODE_ENV: production\n", "MODE"),
    ("render.yaml", RENDER, "LEVEL, MODE"),
    ("render.yaml", "services: [", ""),
]


@pytest.mark.parametrize(("file", "text", "names"), NAMED)
def test_each_files_variables(file: str, text: str, names: str) -> None:
    found = remarks(SourceTree.of({file: text}))
    line = f"env: {{{names.partition(',')[0]}: value}}"
    said = (
        f"not taken over from {file}: {names}; what the app needs of it, set on the platform, or write in stager.yml: "
    )
    assert found == ([f"{said}{line}, " + f"for a build alone under builds: {{NAME: {{{line}}}}}"] if names else [])


def test_what_the_app_sets_for_stager_is_not_named() -> None:
    files = {"app.json": '{"env": {"A": "1", "B": "2"}}', "stager.yml": "env: {A: x}\n"}
    (note,) = remarks(SourceTree.of(dict(files)))
    assert note.startswith("not taken over from app.json: B; ")
