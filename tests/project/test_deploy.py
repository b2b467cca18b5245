"""The files of docs/deploy: by their own tools where those are here, and by what accuser run has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from accuser.commands.running import run

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs/deploy"
SERVED = set(re.findall(r"^\| `(accuser_\w+)", (ROOT / "docs/production.md").read_text(), re.M))


def documents(name: str) -> list[Any]:
    """The documents of a file of YAML."""
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def variables() -> set[str]:
    """The variables that accuser run takes its options from."""
    context = click.Context(run, auto_envvar_prefix="ACCUSER_RUN")
    found = set()
    for param in run.params:
        named = param.envvar or f"{context.auto_envvar_prefix}_{(param.name or '').upper()}"
        found.add(str(named))
    return found


@pytest.mark.parametrize("name", ["Containerfile", "compose.yaml", "kubernetes.yaml", "accuser.service"])
def test_the_variables_are_those_of_options(name: str) -> None:
    used = set(re.findall(r"ACCUSER_RUN_[A-Z_]+", (DEPLOY / name).read_text()))
    assert used
    assert used <= variables()


@pytest.mark.parametrize("name", ["alerts.yaml", "grafana.json"])
def test_the_metrics_are_served(name: str) -> None:
    used = set(re.findall(r"accuser_\w+", (DEPLOY / name).read_text()))
    assert len(used) >= 5
    assert used <= SERVED


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_unit_is_verified(tmp_path: Path) -> None:
    unit = tmp_path / "accuser.service"
    text = (DEPLOY / "accuser.service").read_text()
    unit.write_text(text.replace("/opt/accuser/bin/accuser", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_image_is_of_a_user_without_rights_and_passes_signals_on() -> None:
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    steps = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    known = {
        "FROM",
        "RUN",
        "COPY",
        "ENV",
        "USER",
        "EXPOSE",
        "STOPSIGNAL",
        "VOLUME",
        "HEALTHCHECK",
        "ENTRYPOINT",
    }
    assert {step[0] for step in steps} <= known
    last = dict(steps)
    assert int(last["USER"].split(":")[0]) > 0
    # Without a shell, which would be process 1 and keep SIGTERM.
    assert json.loads(last["ENTRYPOINT"])[1:] == ["run"]


def test_the_pod_has_probes_and_no_token() -> None:
    ((manifest),) = documents("kubernetes.yaml")
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["terminationGracePeriodSeconds"] > 30
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["readinessProbe"]["httpGet"]["path"] == "/healthz"
    labels = manifest["spec"]["template"]["metadata"]["labels"]
    assert manifest["spec"]["selector"]["matchLabels"] == labels
    if (kubectl := shutil.which("kubectl")) is not None:
        assert without_unknown_fields(kubectl) == manifest


def without_unknown_fields(kubectl: str) -> Any:
    """The manifest as the tool reads it, which leaves out what Kubernetes has not, without what it adds."""
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    words = (
        kubectl,
        "set",
        "image",
        "--local",
        "-f",
        str(DEPLOY / "kubernetes.yaml"),
        "accuser=other",
        "-o",
        "yaml",
    )
    read = yaml.safe_load(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    ((given),) = documents("kubernetes.yaml")
    read["spec"]["template"]["spec"]["containers"][0]["image"] = "accuser:latest"
    return common(read, given)


def common(read: Any, given: Any) -> Any:
    """What is read, without what is empty and was not given."""
    if isinstance(read, dict):
        kept = {key: value for key, value in read.items() if key in given or value not in (None, {})}
        return {key: common(value, given.get(key)) for key, value in kept.items()}
    if isinstance(read, list):
        return [common(*pair) for pair in zip(read, given, strict=True)]
    return read


def test_the_services_of_the_composition() -> None:
    ((composition),) = documents("compose.yaml")
    accuser = composition["services"]["accuser"]
    assert accuser["read_only"] is True
    assert (DEPLOY / accuser["build"]["dockerfile"]).is_file()
    assert set(accuser["depends_on"]) <= set(composition["services"])


def test_the_rules_are_rules() -> None:
    (rules,) = documents("alerts.yaml")
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in alerts}) == len(alerts)
    if (promtool := shutil.which("promtool")) is not None:
        subprocess.run([promtool, "check", "rules", str(DEPLOY / "alerts.yaml")], check=True)
    for rule in alerts:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        # A comma in a text without quotes begins another annotation.
        assert set(rule["annotations"]) == {"summary"}
        assert set(rule["labels"]) == {"severity"}
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_the_dashboard_has_panels_that_do_not_overlap() -> None:
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]}
    assert len(places) == len(dashboard["panels"])
    assert all(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
