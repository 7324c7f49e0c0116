"""Reads dates and times of day as people write them (for the entities of agent-project.md §2.10)."""

import re
from collections.abc import Iterator
from datetime import date, time, timedelta

_MONTHS = (
    ("january", "jan", "januar", "enero", "janvier"),
    ("february", "feb", "februar", "febrero", "février", "fevrier"),
    ("march", "mar", "märz", "maerz", "marzo", "mars"),
    ("april", "apr", "abril", "avril"),
    ("may", "mai", "mayo"),
    ("june", "jun", "juni", "junio", "juin"),
    ("july", "jul", "juli", "julio", "juillet"),
    ("august", "aug", "agosto", "août", "aout"),
    ("september", "sep", "sept", "septiembre", "septembre"),
    ("october", "oct", "oktober", "okt", "octubre", "octobre"),
    ("november", "nov", "noviembre", "novembre"),
    ("december", "dec", "dezember", "dez", "diciembre", "décembre", "decembre"),
)
_MONTH = {name: number for number, names in enumerate(_MONTHS, 1) for name in names}
_WEEKDAYS = (
    ("monday", "mon", "montag", "lunes", "lundi"),
    ("tuesday", "tue", "tues", "dienstag", "martes", "mardi"),
    ("wednesday", "wed", "mittwoch", "miércoles", "mercredi"),
    ("thursday", "thu", "thur", "thurs", "donnerstag", "jueves", "jeudi"),
    ("friday", "fri", "freitag", "viernes", "vendredi"),
    ("saturday", "sat", "samstag", "sábado", "samedi"),
    ("sunday", "sun", "sonntag", "domingo", "dimanche"),
)
_WEEKDAY = {name: number for number, names in enumerate(_WEEKDAYS) for name in names}
_DAYS_AWAY = {
    **dict.fromkeys(("today", "tonight", "heute", "hoy", "aujourd'hui"), 0),
    **dict.fromkeys(("tomorrow", "morgen", "mañana", "demain"), 1),
    **dict.fromkeys(("yesterday", "gestern", "ayer", "hier"), -1),
    **dict.fromkeys(("day after tomorrow", "übermorgen"), 2),
}
_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_TENS = ("thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred")
NUMBER_WORDS = {
    **{word: number for number, word in enumerate(_SMALL)},
    **{word: 10 * number for number, word in enumerate(_TENS, 3)},
}


def _any_of(names: dict[str, int]) -> str:
    return "|".join(sorted(map(re.escape, names), key=len, reverse=True))


_COUNT = rf"\d{{1,3}}|an?|{_any_of(NUMBER_WORDS)}"
_ISO = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b")
_NUMERIC = re.compile(r"\b(\d{1,2})\s*([/.-])\s*(\d{1,2})\s*\2\s*(\d{4}|\d{2})\b")
_DAY_MONTH = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th|\.)?\s*(?:of\s+|de\s+)?({_any_of(_MONTH)})\b\.?,?\s*(?:de\s+)?(\d{{4}}|'?\d{{2}}\b)?",
    re.IGNORECASE,
)
_MONTH_DAY = re.compile(
    rf"\b({_any_of(_MONTH)})\.?\s+(?:the\s+)?(\d{{1,2}})(?:st|nd|rd|th)?\b,?\s*(\d{{4}}|'?\d{{2}}\b)?", re.IGNORECASE
)
_AWAY = re.compile(rf"\b({_any_of(_DAYS_AWAY)})\b", re.IGNORECASE)
_IN_DAYS = re.compile(rf"\bin\s+({_COUNT})\s+(day|week)s?\b", re.IGNORECASE)
_ON_WEEKDAY = re.compile(rf"\b(?:(next|this)\s+)?({_any_of(_WEEKDAY)})\b", re.IGNORECASE)

_CLOCK = re.compile(r"\b(\d{1,2})(?:[:.h](\d{2}))?\s*(a\.?m\b\.?|p\.?m\b\.?|o'?clock\b|uhr\b|h\b)?", re.IGNORECASE)
_PAST = re.compile(
    rf"\b(half|quarter|twenty|ten|five)\s+(past|to)\s+(\d{{1,2}}|{_any_of(NUMBER_WORDS)})\b\s*(a\.?m\b|p\.?m\b)?",
    re.IGNORECASE,
)
_NAMED_TIMES = {"noon": time(12), "midday": time(12), "midnight": time(0), "mittag": time(12)}
_MINUTES = {"half": 30, "quarter": 15, "twenty": 20, "ten": 10, "five": 5}


class Unclear(Exception):
    """The text speaks of a date or time, but not of one that can be used; the message says why."""


def find_date(text: str, *, today: date, relative: bool, day_first: bool) -> date | None:
    """Give the first date in `text`, None when it speaks of none.

    Args:
        text: what somebody wrote.
        today: what "tomorrow" is counted from.
        relative: whether such words, weekdays and dates without a year may be used.
        day_first: how to read 3/4/2025.

    Raises:
        Unclear: there is no such day, or only a relative one although `relative` is false.
    """
    if match := _ISO.search(text):
        return _day(int(match[1]), int(match[2]), int(match[3]))
    if match := _NUMERIC.search(text):
        first, second, year = int(match[1]), int(match[3]), _year(match[4], today)
        day, month = (first, second) if day_first or match[2] == "." or first > 12 else (second, first)
        return _day(year, *((month, day) if month <= 12 else (day, month)))
    if match := _DAY_MONTH.search(text):
        return _dated(int(match[1]), _MONTH[match[2].lower()], match[3], today, relative)
    if match := _MONTH_DAY.search(text):
        return _dated(int(match[2]), _MONTH[match[1].lower()], match[3], today, relative)
    found = _relative(text, today)
    if found is not None and not relative:
        raise Unclear("the date itself is needed, with day, month and year")
    return found


def _relative(text: str, today: date) -> date | None:
    if match := _AWAY.search(text):
        return today + timedelta(days=_DAYS_AWAY[match[1].lower()])
    if match := _IN_DAYS.search(text):
        count = read_count(match[1]) or 1
        return today + timedelta(days=count * (7 if match[2].lower() == "week" else 1))
    if match := _ON_WEEKDAY.search(text):
        ahead = (_WEEKDAY[match[2].lower()] - today.weekday()) % 7
        return today + timedelta(days=ahead or 7)
    return None


def _dated(day: int, month: int, year: str | None, today: date, relative: bool) -> date:
    if year:
        return _day(_year(year.lstrip("'"), today), month, day)
    if not relative:
        raise Unclear("the year is missing")
    this_year = _day(today.year if (month, day) != (2, 29) else _leap_year(today.year), month, day)
    return this_year if this_year >= today else _day(this_year.year + 1, month, day)


def _leap_year(year: int) -> int:
    while year % 4 or (year % 100 == 0 and year % 400):
        year += 1
    return year


def _day(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError as error:
        raise Unclear("there is no such day") from error


def _year(text: str, today: date) -> int:
    """Read a year; two digits lie within the last ninety years or the next ten."""
    year = int(text)
    if len(text) > 2:
        return year
    century = today.year // 100 * 100
    return century + year if century + year <= today.year + 10 else century - 100 + year


def find_times(text: str) -> Iterator[time]:
    """Give what the first time of day in `text` may mean: both halves of the day where it does not say which."""
    for name, named in _NAMED_TIMES.items():
        if re.search(rf"\b{name}\b", text, re.IGNORECASE):
            yield named
            return
    if match := _PAST.search(text):
        hour = read_count(match[3])
        if hour is not None and hour <= 24:
            minutes = _MINUTES[match[1].lower()]
            whole = hour * 60 + (minutes if match[2].lower() == "past" else -minutes)
            yield from _readings(whole % 1440 // 60, whole % 60, match[4] or "")
        return
    for match in _CLOCK.finditer(text):
        if int(match[1]) <= 24 and int(match[2] or 0) < 60 and (match[2] or match[3] or text.strip() == match[0]):
            yield from _readings(int(match[1]) % 24, int(match[2] or 0), match[3] or "")
            return


def _readings(hour: int, minute: int, half: str) -> Iterator[time]:
    half = half.lower().replace(".", "")
    if half == "pm" and hour < 12:
        hour += 12
    elif half == "am" and hour == 12:
        hour = 0
    yield time(hour, minute)
    if half not in ("am", "pm", "h", "uhr") and 0 < hour < 12:
        yield time(hour + 12, minute)


def read_count(text: str) -> int | None:
    """Read a small whole number in digits or English words, such as "a", "7", "twenty-five"; None when it is none."""
    words = text.lower().replace("-", " ").split()
    if not words:
        return None
    if len(words) == 1 and words[0].isdecimal():
        return int(words[0])
    if words[0] in ("a", "an"):
        return 1 if len(words) == 1 else None
    if any(word not in NUMBER_WORDS for word in words) or len(words) > 2:
        return None
    numbers = [NUMBER_WORDS[word] for word in words]
    if len(numbers) == 2 and not (numbers[0] >= 20 and numbers[1] < 10):
        return numbers[0] * 100 if numbers[1] == 100 and numbers[0] < 10 else None
    return sum(numbers)
