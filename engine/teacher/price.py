"""What the teacher's answers cost: tokens times the price of a million, from the contract or from the command."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from engine.contract_records import Teacher
from store.errors import RuleError, UsageError

NANO_PER_TOKEN = 1000  # 1e-9 of the currency that a token costs for each unit of price of a million


@dataclass(frozen=True, slots=True)
class Price:
    """Of a million tokens, in the contract's currency."""

    tokens_in: Decimal
    tokens_out: Decimal

    def nano(self, tokens_in: int | None, tokens_out: int | None) -> int | None:
        """1e-9 of the currency for one answer; None where the endpoint did not count its tokens.

        >>> Price(Decimal("2.50"), Decimal(10)).nano(1_000, 100)
        3500000
        """
        if tokens_in is None or tokens_out is None:
            return None
        return round((tokens_in * self.tokens_in + tokens_out * self.tokens_out) * NANO_PER_TOKEN)


def price_of(teacher: Teacher, given: str) -> Price | None:
    """The contract's price, or the one ``given`` as IN/OUT; None where nobody says one.

    Raises UsageError where ``given`` is no price, RuleError where it is not the contract's.

    >>> price_of(Teacher(), "2.50/10")
    Price(tokens_in=Decimal('2.50'), tokens_out=Decimal('10'))
    """
    stated = None
    if teacher.price_in is not None and teacher.price_out is not None:
        stated = Price(teacher.price_in, teacher.price_out)
    if not given:
        return stated
    asked = _read(given)
    if stated is not None and asked != stated:
        raise RuleError(
            f"the contract says {stated.tokens_in:f}/{stated.tokens_out:f}, not {given}",
            todo="Leave --price out, or lock a contract version with the new price.",
        )
    return asked


def _read(given: str) -> Price:
    try:
        prices = [Decimal(part) for part in given.split("/")]
    except InvalidOperation:
        prices = []
    if len(prices) != 2 or not all(price.is_finite() and price >= 0 for price in prices):
        raise UsageError(
            f"--price is no price: {given!r}", todo="A million tokens in, and out: --price 2.50/10"
        )
    return Price(*prices)
