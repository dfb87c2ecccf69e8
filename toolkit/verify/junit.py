"""A verification as JUnit XML: one suite a machine, so that any CI shows it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from toolkit.model import Commune
from toolkit.verify.result import DEROGATION, FAILED, NOT_CHECKED, CheckResult, VerifyResult

# What XML 1.0 cannot carry, even escaped.
UNSPEAKABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(commune: Commune, found: VerifyResult) -> str:
    """The whole file; a check that could not be made is `skipped`, with the reason."""
    root = Xml.Element("testsuites", {"name": f"telekit verify {commune.slug}"} | _counts(found.results, found.seconds))
    for machine in found.machines:
        results = [r for r in found.results if r.machine == machine]
        about = {"name": machine, "hostname": machine, "timestamp": found.started.isoformat(timespec="seconds")}
        suite = Xml.SubElement(root, "testsuite", about | _counts(results, sum(r.seconds for r in results)))
        for result in results:
            _case(suite, result)
    Xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _counts(results: Sequence[CheckResult], seconds: float) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(r.outcome == FAILED for r in results)),
        "errors": "0",
        "skipped": str(sum(r.outcome in (NOT_CHECKED, DEROGATION) for r in results)),
        "time": f"{seconds:.3f}",
    }


def _case(suite: Xml.Element, result: CheckResult) -> None:
    case = Xml.SubElement(
        suite, "testcase", classname=f"{result.machine}.{result.theme}", name=result.check, time=f"{result.seconds:.3f}"
    )
    detail = UNSPEAKABLE.sub("\N{REPLACEMENT CHARACTER}", f"{result.title}: {result.detail}")
    if result.outcome == FAILED:
        Xml.SubElement(case, "failure", message=detail.splitlines()[0][:200], type="failed").text = detail
    elif result.outcome in (NOT_CHECKED, DEROGATION):
        Xml.SubElement(case, "skipped", message=f"derogation: {detail}" if result.outcome == DEROGATION else detail)
    else:
        Xml.SubElement(case, "system-out").text = detail
