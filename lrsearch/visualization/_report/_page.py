"""The page as a whole, and the file."""

from __future__ import annotations

from pathlib import Path

import optuna

from lrsearch.exceptions import UnsupportedError
from lrsearch.sweeps import masked
from lrsearch.visualization._report._cost import cost
from lrsearch.visualization._report._facts import Facts, facts_of
from lrsearch.visualization._report._figures import figures
from lrsearch.visualization._report._found import found, sure
from lrsearch.visualization._report._html import Html, html, plural, tag
from lrsearch.visualization._report._provenance import provenance
from lrsearch.visualization._report._style import STYLE
from lrsearch.visualization._report._trials import trials
from lrsearch.visualization._report._use import use
from lrsearch.visualization._report._why import why

# Nothing is fetched, whatever stands on the page: the browser refuses every address.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
)
COPY = """
for(const box of document.querySelectorAll(".code")){const button=document.createElement("button");
button.className="copy";button.textContent="copy";button.onclick=async()=>{
const text=box.querySelector("code").textContent;
try{await navigator.clipboard.writeText(text);button.textContent="copied"}
catch{getSelection().selectAllChildren(box.querySelector("code"));button.textContent="selected"}
setTimeout(()=>{button.textContent="copy"},1500)};box.append(button)}
addEventListener("hashchange",open_);function open_(){const at=location.hash&&
document.getElementById(location.hash.slice(1));if(at&&at.tagName=="DETAILS")at.open=true}open_();
"""


def page(study: optuna.Study, *, storage: str | None = None) -> str:
    """A study as one HTML page that needs no network, and reads complete without JavaScript.

    Args:
        study: Any study: running, without trials, of several objectives, not of lrsearch; the page
            says what there is.
        storage: URL of its storage, to be named in the commands; passwords are masked.

    Cost: reads all trials and their readings; a Gaussian process of at most 140 runs; no gradients.
    """
    place = None if storage is None else masked(storage)
    facts = facts_of(study, place)
    drawn, scripts = figures(facts)
    sections = [
        ("found", "What was found", found(facts)),
        ("sure", "How sure it is", sure(facts)),
        ("cost", "What it cost, and what it saved", cost(facts)),
        ("why", "Why the winner wins", why(facts)),
        ("use", "How to use it", use(facts)),
        ("trials", "Every trial", trials(facts)),
        ("figures", "Figures", drawn),
        ("provenance", "Where it comes from", provenance(facts)),
    ]
    name = study.study_name
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{name}: learning rate and schedule"),
        Html(f"<style>{STYLE}</style>"),
    ]
    nav = tag("nav", [tag("a", title, href=f"#{key}") for key, title, _ in sections],
              aria_label="Sections")  # fmt: skip
    body = [
        tag("header", tag("p", "lrsearch report", class_="kicker"), tag("h1", name),
            tag("p", _subtitle(facts), class_="note"), nav),
        tag("main", [tag("section", tag("h2", title), content, id=key)
                     for key, title, content in sections]),
        tag("footer", tag("p", "Made by lrsearch. This file needs nothing else.")),
        scripts,
        Html(f"<script>{COPY}</script>"),
    ]  # fmt: skip
    whole = tag("html", tag("head", head), tag("body", body), lang="en")
    return f"<!doctype html>\n{whole}\n"


def report(study: optuna.Study, path: str | Path, *, storage: str | None = None) -> Path:
    """Write a study's report: one HTML page that needs no network (about 5 MB with figures).

    It tells what was found, how sure that is, what it cost and saved, why the winner wins, how to
    use it, and every trial's story. Without plotly it has no figures, and says so.

    Args:
        study: The study, see `page`.
        path: File to write; its folder is made if it is missing.
        storage: URL of the study's storage, to be named in the commands; passwords are masked.

    Returns:
        The file.

    Raises:
        UnsupportedError: If the file cannot be written.
    """
    path = Path(path)
    text = page(study, storage=storage)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise UnsupportedError(
            f"cannot write the report {path}: {error.strerror}. Name a file, such as report.html."
        ) from error
    return path


def _subtitle(facts: Facts) -> Html:
    about = f"task {facts.task}, " if facts.task else ""
    return html(f"{about}{plural(len(facts.rows), 'trial')}, {facts.metric}")
