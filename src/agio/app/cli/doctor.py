"""`agio doctor`: looks at the machine and says what to do."""

import msgspec
import typer

from agio.app.cli.console import AsJson, DataDir, out, read_settings, resolve_data_dir
from agio.app.examination import Finding, Verdict, examine

_MARKS = {
    Verdict.GOOD: "[green]✓[/]",
    Verdict.NOTICE: "[yellow]![/]",
    Verdict.BAD: "[bold red]✗[/]",
}


def register(program: typer.Typer) -> None:
    program.command("doctor")(doctor)


def doctor(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Check what agio needs of this machine. Ends with code 1 when something must be put right."""
    settings = msgspec.structs.replace(read_settings(), data_dir=resolve_data_dir(data_dir))
    findings = []
    for finding in examine(settings):
        findings.append(finding)
        if not as_json:
            _show(finding)
    if as_json:
        print(msgspec.json.encode(findings).decode())
    bad = sum(finding.verdict is Verdict.BAD for finding in findings)
    if bad:
        raise typer.Exit(1)
    if not as_json:
        out.print("[bold green]agio can run here[/]")


def _show(finding: Finding) -> None:
    out.print(f"{_MARKS[finding.verdict]} [bold]{finding.subject}[/]  ", end="", soft_wrap=True)
    out.print(finding.found, markup=False, soft_wrap=True)
    if finding.advice:
        out.print(f"    → {finding.advice}", markup=False, soft_wrap=True)
