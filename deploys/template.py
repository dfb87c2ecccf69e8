"""Where the templates are, and how one becomes text."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

from toolkit.model import Secret

MANAGED = "Written by telekit. Edit commune.toml instead."


@cache
def _environment() -> jinja2.Environment:
    import deploys.templates

    folder = Path(next(iter(deploys.templates.__path__)))
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - configuration files, never HTML
    )


def render(template: str, /, **arguments: object) -> str:
    """Render `templates/<template>` with named arguments; a name that is missing is an error.

    A Secret that a template prints shows as asterisks: a secret goes to a machine by `secret_file` alone.
    """
    return _environment().get_template(template).render(managed=MANAGED, **arguments)


def render_secret(template: str, /, **arguments: object) -> Secret:
    """Render a template whose result must not be shown, printed or kept: for `secret_file`."""
    return Secret(render(template, **arguments))
