"""A statement as a PDF for people: A4, a table of balances, one of bookings per asset, and the proof."""

from io import BytesIO
from itertools import groupby
from typing import Final

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from agio.custody.statements.model import Section, Statement
from agio.kernel.money import format_decimal
from agio.ledger.api import Entry

WIDTH, HEIGHT = A4
LEFT: Final = 18 * mm
RIGHT: Final = WIDTH - 18 * mm
TOP: Final = HEIGHT - 18 * mm
BOTTOM: Final = 24 * mm
ROW: Final = 5.2 * mm
INK: Final = HexColor("#14181f")
MUTED: Final = HexColor("#5d6775")
RULE: Final = HexColor("#c9d0d9")
SHADE: Final = HexColor("#f3f5f8")
ACCENT: Final = HexColor("#0b5c6b")
PLAIN: Final = "Helvetica"
BOLD: Final = "Helvetica-Bold"
FIXED: Final = "Courier"

BOOKED, VALUE, SOURCE = LEFT + 2 * mm, LEFT + 18.5 * mm, LEFT + 35 * mm
REFERENCE, JOURNAL = LEFT + 49 * mm, LEFT + 83 * mm
AMOUNT, BALANCE = RIGHT - 30 * mm, RIGHT - 2 * mm
SUMMARY: Final = (LEFT + 62 * mm, LEFT + 92 * mm, LEFT + 122 * mm, LEFT + 152 * mm, RIGHT - 2 * mm)


def render_pdf(statement: Statement) -> bytes:
    """The document's bytes; the same statement gives the same bytes."""
    target = BytesIO()
    document = _Document(Canvas(target, pagesize=A4, invariant=1, pageCompression=1), statement)
    document.draw()
    return target.getvalue()


def group_digits(text: str) -> str:
    """1234567.89 as 1,234,567.89."""
    sign = "-" if text.startswith("-") else ""
    whole, point, rest = text.removeprefix("-").partition(".")
    return f"{sign}{int(whole):,}{point}{rest}"


class _Document:
    def __init__(self, canvas: Canvas, statement: Statement) -> None:
        self._canvas = canvas
        self._statement = statement
        self._y = TOP
        self._page = 1
        canvas.setTitle(f"Statement {statement.account.account_id}")
        canvas.setAuthor("agio")

    def draw(self) -> None:
        self._draw_head()
        self._draw_summary()
        grouped = {
            account: list(entries)
            for account, entries in groupby(self._statement.entries, key=lambda one: one.account)
        }
        for section in self._statement.sections:
            self._draw_section(section, grouped.get(section.period.address, []))
        self._draw_proof()
        self._finish_page()
        self._define_page_count()
        self._canvas.save()

    def _draw_head(self) -> None:
        account, period = self._statement.account, self._statement.period
        self._text(LEFT, TOP - 6 * mm, "Statement of account", BOLD, 19)
        self._text(RIGHT, TOP - 5 * mm, "agio", BOLD, 14, ACCENT, align="right")
        self._text(RIGHT, TOP - 9.5 * mm, account.environment, PLAIN, 8, MUTED, align="right")
        self._y = TOP - 19 * mm
        rows = (
            ("Account", account.name),
            ("Account id", account.account_id),
            ("Organisation", account.organisation_id),
            (
                "Period",
                f"{period.start:%Y-%m-%d %H:%M:%S} to {period.end:%Y-%m-%d %H:%M:%S} UTC (end excluded)",
            ),
            ("State", "final" if self._statement.is_final else "provisional: the period is still open"),
        )
        for label, value in rows:
            self._text(LEFT, self._y, label, PLAIN, 8.5, MUTED)
            self._text(LEFT + 30 * mm, self._y, _fit(value, BOLD, 9, RIGHT - LEFT - 30 * mm), BOLD, 9)
            self._y -= ROW
        self._y -= 4 * mm

    def _draw_summary(self) -> None:
        self._band(("Asset", "Opening", "Credits", "Debits", "Closing", "Entries"), (LEFT + 2 * mm, *SUMMARY))
        for section in self._statement.sections:
            self._make_room(ROW)
            part = section.period
            amounts = (part.opening, section.credits, section.debits, part.closing)
            texts = [*(_amount(amount, part.scale) for amount in amounts), f"{part.entry_count:,}"]
            self._text(LEFT + 2 * mm, self._y, part.asset, BOLD, 9)
            for place, text in zip(SUMMARY, texts, strict=True):
                font = BOLD if place == SUMMARY[3] else PLAIN
                self._text(place, self._y, text, font, _size(text, font, 9, 29 * mm), align="right")
            self._rule()
        if not self._statement.sections:
            self._text(LEFT + 2 * mm, self._y, "The account held nothing.", PLAIN, 9, MUTED)
        self._y -= 7 * mm

    def _draw_section(self, section: Section, entries: list[Entry]) -> None:
        part = section.period
        self._make_room(6 * ROW)
        self._text(LEFT, self._y, f"{part.asset} bookings", BOLD, 11.5)
        self._y -= 6 * mm
        self._draw_columns()
        self._draw_balance("Opening balance", part.opening, part.scale)
        for entry in entries:
            if self._make_room(ROW):
                self._draw_columns()
            self._draw_entry(entry)
        self._make_room(ROW)
        self._draw_balance("Closing balance", part.closing, part.scale)
        self._y -= 6 * mm

    def _draw_columns(self) -> None:
        places = (BOOKED, VALUE, SOURCE, REFERENCE, JOURNAL, AMOUNT, BALANCE)
        labels = ("Booked", "Value", "Source", "Reference", "Journal", "Amount", "Balance")
        self._band(labels, places, left=5)

    def _draw_entry(self, entry: Entry) -> None:
        self._text(BOOKED, self._y, entry.booking_date.isoformat(), PLAIN, 7.5)
        self._text(VALUE, self._y, entry.value_date.isoformat(), PLAIN, 7.5, MUTED)
        self._text(SOURCE, self._y, _fit(entry.source, PLAIN, 7.5, 13 * mm), PLAIN, 7.5)
        self._text(REFERENCE, self._y, _fit(entry.reference or "", FIXED, 6.2, 33 * mm), FIXED, 6.2)
        self._text(JOURNAL, self._y, _fit(entry.journal_id, FIXED, 6.2, 33 * mm), FIXED, 6.2, MUTED)
        for place, number in ((AMOUNT, entry.amount), (BALANCE, entry.balance)):
            text = _amount(number, entry.scale)
            self._text(place, self._y, text, PLAIN, _size(text, PLAIN, 8, 27 * mm), align="right")
        self._rule()

    def _draw_balance(self, label: str, balance: int, scale: int) -> None:
        text = _amount(balance, scale)
        self._text(SOURCE, self._y, label, BOLD, 8.5)
        self._text(BALANCE, self._y, text, BOLD, _size(text, BOLD, 8.5, 40 * mm), align="right")
        self._rule()

    def _draw_proof(self) -> None:
        chain = self._statement.chain
        self._make_room(6 * ROW)
        self._text(LEFT, self._y, "Proof", BOLD, 11.5)
        self._y -= 5.5 * mm
        booked = f", of {chain.created_at:%Y-%m-%d %H:%M:%S} UTC" if chain.created_at is not None else ""
        for text, font in (
            (f"Chain head of the ledger at the end of the period: batch {chain.batch_no}{booked}", PLAIN),
            (chain.hash, FIXED),
            (
                "agio ledger verify recomputes the chain from its beginning and passes through this hash.",
                PLAIN,
            ),
        ):
            self._text(LEFT, self._y, text, font, 8.2, INK if font == FIXED else MUTED)
            self._y -= 4.4 * mm

    def _band(self, labels: tuple[str, ...], places: tuple[float, ...], left: int = 1) -> None:
        """A shaded row of column names, the first `left` of them aligned to the left."""
        self._canvas.setFillColor(SHADE)
        self._canvas.rect(LEFT, self._y - 1.7 * mm, RIGHT - LEFT, 6 * mm, stroke=0, fill=1)
        for number, (label, place) in enumerate(zip(labels, places, strict=True)):
            self._text(place, self._y, label, BOLD, 8, MUTED, align="left" if number < left else "right")
        self._y -= 6.4 * mm

    def _rule(self) -> None:
        self._canvas.setStrokeColor(RULE)
        self._canvas.setLineWidth(0.3)
        self._canvas.line(LEFT, self._y - 1.6 * mm, RIGHT, self._y - 1.6 * mm)
        self._y -= ROW

    def _make_room(self, height: float) -> bool:
        """Begin a new page where the rest of this one is too short; says whether it did."""
        if self._y - height >= BOTTOM:
            return False
        self._finish_page()
        self._page += 1
        self._y = TOP
        return True

    def _finish_page(self) -> None:
        account = self._statement.account
        self._text(
            LEFT, 13 * mm, f"{account.account_id}   {self._statement.chain.hash[:16]}", FIXED, 7, MUTED
        )
        self._text(RIGHT - 9 * mm, 13 * mm, f"Page {self._page}", PLAIN, 8, MUTED, align="right")
        self._canvas.doForm("page_count")
        self._canvas.showPage()

    def _define_page_count(self) -> None:
        """Each page refers to this text, which is known only at the end."""
        self._canvas.beginForm("page_count", 0, 0, WIDTH, HEIGHT)
        self._text(RIGHT - 8 * mm, 13 * mm, f"of {self._page}", PLAIN, 8, MUTED)
        self._canvas.endForm()

    def _text(
        self,
        x: float,
        y: float,
        text: str,
        font: str,
        size: float,
        color: Color = INK,
        align: str = "left",
    ) -> None:
        self._canvas.setFont(font, size)
        self._canvas.setFillColor(color)
        shown = _printable(text)
        if align == "right":
            self._canvas.drawRightString(x, y, shown)
        else:
            self._canvas.drawString(x, y, shown)


def _amount(amount: int, scale: int) -> str:
    return group_digits(format_decimal(amount, scale))


def _printable(text: str) -> str:
    """The built-in fonts know the characters of Windows-1252; the account's id says who it is in any case."""
    return text.encode("cp1252", "replace").decode("cp1252")


def _size(text: str, font: str, size: float, width: float) -> float:
    """A font size in which a number fits: numbers are never cut."""
    return min(size, size * width / max(stringWidth(text, font, size), 1.0))


def _fit(text: str, font: str, size: float, width: float) -> str:
    """Words may be cut, visibly."""
    shown = _printable(text)
    if stringWidth(shown, font, size) <= width:
        return shown
    while shown and stringWidth(shown + "…", font, size) > width:
        shown = shown[:-1]
    return shown + "…"
