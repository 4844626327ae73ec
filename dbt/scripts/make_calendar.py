"""Write the working-day calendar seed (`dbt/seeds/calendar_working_day.csv`).

Source: the State Council's yearly holiday notices as carried by `chinesecalendar`, which knows no
year before its notice is out. The last row is therefore the known end of the calendar: whoever
needs a working day beyond it fails by name and runs this script again after the next notice.

Usage: python dbt/scripts/make_calendar.py [first year] [last year]
"""

from __future__ import annotations

import csv
import datetime
import sys
from pathlib import Path

import chinese_calendar
from chinese_calendar.constants import holidays, workdays

SEED = Path(__file__).resolve().parent.parent / "seeds" / "calendar_working_day.csv"
FIRST_YEAR = 2018
LAST_YEAR = 2026

NAMES_ZH = {
    "New Year's Day": "元旦",
    "Spring Festival": "春节",
    "Tomb-sweeping Day": "清明节",
    "Labour Day": "劳动节",
    "Dragon Boat Festival": "端午节",
    "National Day": "国庆节",
    "Mid-autumn Festival": "中秋节",
    "Anti-Fascist 70th Day": "抗战胜利七十周年纪念日",
}
WEEKDAYS_ZH = ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日")
WEEKDAYS_EN = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def calendar_row(day: datetime.date) -> tuple[str, str, str, str, str]:
    """One seed row: calendar_date, is_working_day, kind, name_zh, name_en.

    Raises NotImplementedError when no notice is known for the year of `day`.
    """
    is_working = chinese_calendar.is_workday(day)
    if day in workdays:
        holiday = workdays[day]
        kind, name_zh, name_en = "make_up", f"{NAMES_ZH[holiday]}调休上班", f"{holiday} make-up day"
    elif day in holidays:
        holiday = holidays[day]
        kind, name_zh, name_en = "holiday", NAMES_ZH[holiday], holiday
    else:
        kind = "weekend" if day.weekday() >= 5 else "weekday"
        name_zh, name_en = WEEKDAYS_ZH[day.weekday()], WEEKDAYS_EN[day.weekday()]
    return day.isoformat(), str(is_working).lower(), kind, name_zh, name_en


def main(first_year: int = FIRST_YEAR, last_year: int = LAST_YEAR) -> None:
    """Write every calendar day of the years given, in date order."""
    day, end = datetime.date(first_year, 1, 1), datetime.date(last_year, 12, 31)
    with SEED.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(("calendar_date", "is_working_day", "kind", "name_zh", "name_en"))
        while day <= end:
            writer.writerow(calendar_row(day))
            day += datetime.timedelta(days=1)


if __name__ == "__main__":
    main(*(int(year) for year in sys.argv[1:3]))
