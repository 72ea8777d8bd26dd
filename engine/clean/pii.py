"""Personal data and secrets in a text: e-mail addresses, telephone numbers, payment cards, IBANs, keys, IP addresses.

Found by their form and, where they carry one, by their checksum: cards by Luhn's, IBANs by ISO 13616's modulus. Names,
addresses and dates of birth have no form and are not found. A finding is a kind and a place; the text itself is
never repeated, so that no report carries what it warns of.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from engine.clean.outcome import PASSED, Options, Result, failed, refuse_unknown, texts_of
from store.errors import InputError

_MOST_TOLD = 5  # findings that a detail names one by one


@dataclass(frozen=True, slots=True)
class Found:
    """A finding: code points ``start`` to ``end`` (behind the last) of the text."""

    kind: str
    start: int
    end: int


# ---- e-mail
_EMAIL = re.compile(
    r"(?<![\w.+%-])[A-Za-z0-9_+%-][\w.+%-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![\w-])"
)


def emails(text: str) -> Iterator[Found]:
    """Addresses as people write them (a dot atom at a domain with a top level), not all that RFC 5321 allows."""
    if "@" in text:
        for match in _EMAIL.finditer(text):
            yield Found("email", *match.span())


# ---- telephone
# International: + and 8 to 15 digits (E.164). National: an area code in brackets, or groups parted as only
# telephone numbers are (3-3-4). Digits in a row are a number like any other unless a word before says what they are.
_INTERNATIONAL = re.compile(r"\+[1-9](?:[ ().\u00a0/-]{0,2}\d){7,14}(?!\d)")
_BRACKETS = re.compile(r"\(0?[1-9]\d{1,3}\)[ .-]?\d{3,4}[ .-]\d{3,4}(?![\d-])")
_GROUPS = re.compile(r"[2-9]\d{2}([-. ])[2-9]\d{2}\1\d{4}(?![\d-]|[.,]\d)")
_WORDS = (
    "tel", "phone", "mobil", "handy", "fon", "tél", "teléf", "fax", "call", "ring ", "text me", "whatsapp", "☎", "電話", "电话", "전화",
)  # fmt: skip
_SAID = re.compile(
    r"(?:\b(?:tel|telephone|phone|mobile|mobil|telefon|handy|fon|tél|téléphone|teléfono|telefono|telefone|fax|whatsapp)\b"
    r"|\b(?:call|ring|text) (?:me|us|him|her)\b|☎|電話|电话|전화)(?: ?(?:number|no|nr|nummer|at|on|under|is|ist|est|es|[.:#=：]))*"
    r" ?(?P<said>\(?\d(?:[ ().\u00a0/-]{0,2}\d){6,14})(?![\d=])",
    re.IGNORECASE,
)
_RUN = re.compile(r"\d[\d ().\u00a0/-]{5,}\d")  # without one there is neither telephone number nor card


def _joined(text: str, start: int, signs: str = "_.") -> bool:
    """Whether the character before ``start`` belongs to what begins there: a letter, a digit, or one of ``signs``."""
    return start > 0 and (text[start - 1].isalnum() or text[start - 1] in signs)


def phones(text: str) -> Iterator[Found]:
    """Telephone numbers with a sign of being one: a country code, brackets, 3-3-4 groups, or a word before."""
    if not _RUN.search(text):
        return
    for sign, pattern in (("+", _INTERNATIONAL), ("(", _BRACKETS), ("", _GROUPS)):
        for match in pattern.finditer(text) if sign in text else ():
            if not _joined(text, match.start(), "_+.$€£/=*-("):
                yield Found("phone", *match.span())
    low = text.lower()
    if any(word in low for word in _WORDS):
        for match in _SAID.finditer(text):
            yield Found("phone", *match.span("said"))


# ---- cards
_CARD = re.compile(r"[2-6]\d(?:[ -]?\d){11,17}(?!\w|[.,]\d)")
_CARD_DIGITS = 13
_ISSUERS = (  # first digits and lengths, as the schemes publish them
    ("4", (13, 16, 19)), ("5[1-5]", (16,)), ("2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)", (16,)), ("3[47]", (15,)),
    ("3(?:0[0-5]|[689])", (14, 16, 19)), ("6(?:011|4[4-9]|5)", (16, 19)), ("35(?:2[89]|[3-8])", (16, 19)), ("62", (16, 17, 18, 19)),
    ("(?:50|5[6-9]|6)", (16, 18, 19)),
)  # fmt: skip
_SCHEMES = tuple((re.compile(first), sizes) for first, sizes in _ISSUERS)


def luhn(digits: str) -> bool:
    """Luhn's checksum (ISO/IEC 7812-1, annex B).

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    doubled = (sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])
    return (sum(doubled) + sum(int(d) for d in digits[-1::-2])) % 10 == 0


def cards(text: str) -> Iterator[Found]:
    """Payment cards: an issuer's first digits and length, and Luhn's checksum."""
    runs = _RUN.findall(text)
    if not runs or all(sum(map(str.isdigit, run)) < _CARD_DIGITS for run in runs):
        return
    for match in _CARD.finditer(text):
        if _joined(text, match.start()):
            continue
        digits = re.sub(r"\D", "", match.group())
        known = any(first.match(digits) and len(digits) in sizes for first, sizes in _SCHEMES)
        if known and len(set(digits)) > 1 and luhn(digits):
            yield Found("card", *match.span())


# ---- IBAN
_IBAN = re.compile(r"[A-Z]{2}\d{2}(?: ?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])")
_SIZES = """
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18
    FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21
    LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27
    ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20
"""
_IBAN_SIZES = {
    part[:2]: int(part[2:]) for part in _SIZES.split()
}  # characters by country: the IBAN registry (SWIFT)


def iban_holds(text: str) -> bool:
    """The check digits of an IBAN without spaces: its number modulo 97 is 1 (ISO 13616).

    >>> iban_holds("GB82WEST12345698765432"), iban_holds("GB82WEST12345698765433")
    (True, False)
    """
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


def ibans(text: str) -> Iterator[Found]:
    """IBANs of a country in the registry, of its length, with right check digits."""
    for match in _IBAN.finditer(text):
        if _joined(text, match.start()):
            continue
        size = _IBAN_SIZES.get(match.group()[:2], 0)
        end = _after(text, match.start(), size)
        plain = text[match.start() : end].replace(" ", "").upper()
        ends = end == len(text) or not text[end].isalnum()
        if size and len(plain) == size and ends and iban_holds(plain):
            yield Found("iban", match.start(), end)


def _after(text: str, start: int, size: int) -> int:
    """The place behind ``size`` characters that are no spaces, from ``start`` on."""
    at = start
    while size > 0 and at < len(text):
        size -= text[at] != " "
        at += 1
    return at


# ---- keys, tokens, private keys
_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:[\s\S]{0,8000}?-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----)?"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"  # AWS
    r"|\bgh[pousr]_[A-Za-z0-9]{36,251}\b|\bgithub_pat_\w{22,255}\b|\bglpat-[\w-]{20,}"  # GitHub, GitLab
    r"|\bsk-(?:ant-|proj-|or-v1-|svcacct-)?[\w-]{20,}|\bhf_[A-Za-z0-9]{30,}\b"  # model providers
    r"|\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bAIza[\w-]{35}|\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}\b"  # Slack, Google, Stripe
    r"|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"  # JSON web token
    r"|\bSG\.[\w-]{16,}\.[\w-]{16,}|\bnpm_[A-Za-z0-9]{36}\b|\bpypi-AgE[\w-]{50,}"  # SendGrid, npm, PyPI
    r"|(?i:\bauthorization: *(?:bearer|basic) +)(?P<bearer>[\w.~+/=-]{16,})"
    r"|(?i:\b(?:api[_ -]?key|secret(?:[_ -]?key)?|access[_ -]?token|auth[_ -]?token|password|passwd|pwd)\b[\"']? *[:=] *[\"']?)"
    r"(?P<said>(?=[^\s\"',;<>]*\d)(?=[^\s\"',;<>]*[A-Za-z])[^\s\"',;<>(){}\[\]$]{12,})"
)
_MARKS = (  # as they are written, without which there is no token of a maker
    "PRIVATE KEY", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "sk-", "hf_", "xox", "AIza",
    "sk_", "rk_", "pk_", "eyJ", "SG.", "npm_", "pypi-AgE",
)  # fmt: skip
_SAID_KEY = ("key", "secret", "token", "passw", "pwd")  # in any case, before a colon or an equals sign


def _may_hold_key(text: str) -> bool:
    """Whether it is worth a look: most texts are told from their letters alone."""
    if any(mark in text for mark in _MARKS):
        return True
    if ":" not in text and "=" not in text:
        return False
    low = text.lower()
    return "authorization:" in low or any(word in low for word in _SAID_KEY)


def keys(text: str) -> Iterator[Found]:
    """API keys and tokens of well-known makers, private keys, and what a word before calls a key or a password."""
    if not _may_hold_key(text):
        return
    for match in _KEY.finditer(text):
        group = next((name for name in ("bearer", "said") if match[name]), 0)
        yield Found("key", *match.span(group))


# ---- IP addresses
_IP = re.compile(
    r"(?<![\w.:])(?:(?:\d{1,3}\.){3}\d{1,3}|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4})(?![\w:]|\.\d)"
)


def addresses(text: str) -> Iterator[Found]:
    """IPv4 and IPv6 addresses that could be somebody's: not loopback, unspecified or reserved for documents."""
    for match in _IP.finditer(text):
        try:
            address = ipaddress.ip_address(match.group())
        except ValueError:
            continue
        if not (address.is_loopback or address.is_unspecified) and len(match.group()) > 3:
            yield Found("ip", *match.span())


KINDS: dict[str, Callable[[str], Iterator[Found]]] = {
    "email": emails,
    "phone": phones,
    "card": cards,
    "iban": ibans,
    "key": keys,
    "ip": addresses,
}
USUAL = ("email", "phone", "card", "iban", "key")  # an IP address is a person's only now and then


def find(text: str, kinds: Sequence[str] = USUAL) -> list[Found]:
    """All findings of ``kinds``, in the order of the text; of two that overlap, the one whose kind comes first in KINDS
    where it has a checksum, else the longer. Raises InputError for a kind that is none.

    >>> find("mail ada@example.org or +44 20 7946 0958")
    [Found(kind='email', start=5, end=20), Found(kind='phone', start=24, end=40)]
    >>> find("the card 4111 1111 1111 1111, and 4111 1111 1111 1112")
    [Found(kind='card', start=9, end=28)]
    """
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"no kind of personal data: {kind!r}", todo="Known: " + ", ".join(KINDS))
    found = [one for kind in kinds for one in KINDS[kind](text)]
    return _apart(found) if len(found) > 1 else found


_SURE = ("card", "iban")  # kinds with a checksum


def _apart(found: Iterable[Found]) -> list[Found]:
    kept: list[Found] = []
    for one in sorted(found, key=lambda f: (f.kind not in _SURE, f.start - f.end, f.start)):
        if all(one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda f: f.start)


def told(found: Sequence[Found]) -> str:
    """Kinds and places, and nothing of the text.

    >>> told([Found("email", 5, 20), Found("card", 30, 49)])
    'email at 5, card at 30'
    """
    named = [f"{one.kind} at {one.start}" for one in found[:_MOST_TOLD]]
    return ", ".join(named) + (f" and {len(found) - _MOST_TOLD} more" if len(found) > _MOST_TOLD else "")


def pii(output: str, reference: str | None, options: Options) -> Result:
    """Nothing personal and no secret is in the output (``kinds``: email, phone, card, iban, key; ip only if named).

    >>> pii("write to ada@example.org", None, {})
    Result(passed=False, detail='email at 9')
    """
    del reference
    if not options:
        found = find(output)
        return failed(told(found)) if found else PASSED
    refuse_unknown("pii", options, {"kinds"})
    found = find(output, texts_of("pii", options, "kinds") or USUAL)
    return failed(told(found)) if found else PASSED
