"""Amounts as people read them: `1,234.56`, and in Chinese capitals as on a cheque.

Capitals follow 《支付结算办法》, appendix 1: `整` after yuan when nothing follows, one `零` for
zeros in the middle. Where it leaves a choice (a `零` before jiao after a round yuan, `整` after
jiao), the shorter form is written.
"""

from __future__ import annotations

_DIGITS = "零壹贰叁肆伍陆柒捌玖"
_PLACES = ("", "拾", "佰", "仟")
#: Balances have up to 18 digits of fen.
CAPITALS_LIMIT = 10**18


def amount(minor: int, scale: int) -> str:
    """Minor units with the currency's scale and commas.

    >>> amount(-123456, 2)
    '-1,234.56'
    """
    whole, part = divmod(abs(minor), 10**scale)
    text = f"{whole:,}.{part:0{scale}d}" if scale else f"{whole:,}"
    return f"-{text}" if minor < 0 else text


def capitals(fen: int) -> str:
    """An amount of renminbi in Chinese capitals.

    :raises ValueError: beyond 18 digits

    >>> capitals(1234560)
    '人民币壹万贰仟叁佰肆拾伍元陆角'
    """
    if abs(fen) >= CAPITALS_LIMIT:
        raise ValueError(f"{fen} fen has more than 18 digits")
    sign = "负" if fen < 0 else ""
    yuan, rest = divmod(abs(fen), 100)
    jiao, cents = divmod(rest, 10)
    text = _whole(yuan) + "元" if yuan else ""
    if jiao:
        text += _DIGITS[jiao] + "角"
    elif cents and yuan:
        text += "零"
    if cents:
        text += _DIGITS[cents] + "分"
    if not rest:
        text = (text or "零元") + "整"
    return f"人民币{sign}{text}"


def _whole(number: int) -> str:
    """A whole number above 0: by 亿, then by 万, then digit by digit."""
    for unit, name in ((10**8, "亿"), (10**4, "万")):
        high, low = divmod(number, unit)
        if high:
            gap = "零" if 0 < low < unit // 10 else ""
            return _whole(high) + name + gap + (_whole(low) if low else "")
    text, gap = "", False
    for place in (3, 2, 1, 0):
        digit = number // 10**place % 10
        if digit:
            text += ("零" if gap and text else "") + _DIGITS[digit] + _PLACES[place]
        gap = not digit
    return text
