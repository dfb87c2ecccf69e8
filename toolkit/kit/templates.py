"""The kit's templates: HTML whose every value is escaped, PowerShell whose every value is a literal, and plain text."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

from toolkit.kit.powershell import literal


def folder() -> Path:
    """Where the kit's templates and fonts are."""
    import deploys.templates

    return Path(next(iter(deploys.templates.__path__))) / "kit"


def page(template: str, /, **values: object) -> str:
    """HTML: a value is text, and never markup."""
    return _html().get_template(template).render(**values)


def script(template: str, /, **values: object) -> str:
    """PowerShell: whatever is printed is one literal, so that no name can become code."""
    return _powershell().get_template(template).render(**values)


def text(template: str, /, **values: object) -> str:
    """A file in which names are restricted to letters, digits, dots and hyphens."""
    return _plain().get_template(template).render(**values)


@cache
def _html() -> jinja2.Environment:
    return _plain().overlay(autoescape=True)


@cache
def _powershell() -> jinja2.Environment:
    return _plain().overlay(finalize=literal)


@cache
def _plain() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder()),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - `page` has its own, that escapes
    )
