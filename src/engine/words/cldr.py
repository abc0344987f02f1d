#!/usr/bin/env python3
"""Writes cldr.json beside it: the words of days, months, parts of the day and small numbers, by language.

    npm install --prefix DIR cldr-core cldr-dates-full cldr-numbers-full    # Unicode CLDR as JSON, licence Unicode-3.0
    python3 cldr.py DIR/node_modules                      # with PyICU, for the numbers that are spelled out

The file is kept, so that building takes neither: run this for a new version of CLDR and look at what changed.
"""

import json
import pathlib
import sys

import icu

CLDR = pathlib.Path(sys.argv[1])
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
# Part of a country's people that must speak a language, in percent, unless it is official there.
SPOKEN = 15


def read(*path):
    return json.loads(CLDR.joinpath(*path).read_text())


# Scripts in which a language is not typed, though CLDR has it.
NOT_TYPED = ("zh-Latn", "en-Dsrt", "en-Shaw")


def add(words, *new):
    """Adds what is not there yet but for its case, in order."""
    for word in new:
        if word and word.casefold() not in (other.casefold() for other in words):
            words.append(word)


def locales():
    """Every locale of a language whose data is complete, the language's own one first."""
    levels = read("cldr-core", "coverageLevels.json")["effectiveCoverageLevels"]
    complete = {name for name, level in levels.items() if level == "modern"} - {"und"}
    found = sorted(path.name for path in (CLDR / "cldr-dates-full" / "main").iterdir())
    return [name for name in found if name.split("-")[0] in complete and not name.startswith(NOT_TYPED)]


def names(group, keys):
    """A list for each key: wide and short as within a date, then alone. A single letter is no word."""
    wide = [[] for _ in keys]
    for form in ("format", "stand-alone"):
        for width in ("wide", "abbreviated", "short"):
            for index, key in enumerate(keys):
                name = group.get(form, {}).get(width, {}).get(key, "")
                add(wide[index], name if len(name) > 1 else "")
    return wide


def merge(into, new):
    for old, more in zip(into, new):
        add(old, *more)
    return into or new


def minutes(text):
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def add_locale(language, name, rules):
    calendar = read("cldr-dates-full", "main", name, "ca-gregorian.json")["main"][name]["dates"]["calendars"]["gregorian"]
    fields = read("cldr-dates-full", "main", name, "dateFields.json")["main"][name]["dates"]["fields"]
    months = names(calendar["months"], [str(month) for month in range(1, 13)])
    language["months"] = merge(language.get("months", []), months)
    language["days"] = merge(language.get("days", []), names(calendar["days"], DAYS))
    relative = language.setdefault("relative", {})
    for key, word in fields["day"].items():
        if key.startswith("relative-type-"):
            add(relative.setdefault(key.removeprefix("relative-type-"), []), word)
    for key, field in (("in_days", "day"), ("in_weeks", "week")):
        add(language.setdefault(key, []), *fields[field].get("relativeTime-type-future", {}).values())
    periods = language.setdefault("periods", {})
    for form in ("format", "stand-alone"):
        for width in ("wide", "abbreviated"):
            for key, word in calendar["dayPeriods"][form][width].items():
                if not key.endswith("-alt-variant"):
                    rule = rules.get(key, {})
                    span = [minutes(rule["_from"]), minutes(rule["_before"])] if "_from" in rule else []
                    add(periods.setdefault(key, {"span": span, "names": []})["names"], word)
                elif key[:2] in ("am", "pm"):
                    add(periods.setdefault(key[:2], {"span": [], "names": []})["names"], word)


def spelled(names, kind, numbers):
    """For each number all ways of spelling it in the locales of a language, without hyphens that cannot be seen."""
    all_words = [[] for _ in numbers]
    for locale in names:
        formatter = icu.RuleBasedNumberFormat(icu.URBNFRuleSetTag.SPELLOUT, icu.Locale(locale.replace("-", "_")))
        if formatter.getLocale(icu.ULocDataLocaleType.ACTUAL_LOCALE).getLanguage() != locale.split("-")[0]:
            continue
        sets = [formatter.getRuleSetName(index) for index in range(formatter.getNumberOfRuleSetNames())]
        for name in (name for name in sets if name.startswith(f"%spellout-{kind}") and not name.endswith("-year")):
            for words, number in zip(all_words, numbers):
                word = formatter.format(number, name).replace("\u00ad", "").replace("\u200b", "")
                if not any(c.isdigit() for c in word):
                    add(words, word)
                    # The endings that are heard in Arabic, whatever the place in the sentence.
                    add(words, word.replace("ون", "ين") if locale[:2] == "ar" and number >= 20 else "")
    return all_words if any(all_words) else []


def multiples(language):
    """What a word behind a number makes of it: the powers of ten of the compact formats, longer than a letter."""
    found = {}
    numbers = read("cldr-numbers-full", "main", language, "numbers.json")["main"][language]["numbers"]
    for key in (key for key in numbers if key.startswith("decimalFormats")):
        for width in ("long", "short"):
            for name, pattern in numbers[key].get(width, {}).get("decimalFormat", {}).items():
                power, _, _ = name.partition("-")
                word = pattern.replace("'", "").strip("0\u00a0 \u200f")
                zeros = pattern.count("0")
                if zeros and "0" not in word and (len(word) > 1 or not word.isascii()):
                    add(found.setdefault(len(power) - zeros, []), word)
    formatter = icu.RuleBasedNumberFormat(icu.URBNFRuleSetTag.SPELLOUT, icu.Locale(language))
    if formatter.getLocale(icu.ULocDataLocaleType.ACTUAL_LOCALE).getLanguage() == language:
        # `two hundred` without its two.
        for factor in (2, 3, 6):
            two, whole = formatter.format(2), formatter.format(2 * 10**factor).replace("\u00ad", "")
            if whole.startswith(two) and not any(c.isdigit() for c in whole):
                add(found.setdefault(factor, []), whole.removeprefix(two).strip())
        add(found.setdefault(3, []), formatter.format(1000))
    return {factor: words for factor, words in sorted(found.items()) if 0 < factor <= 9}


def orders(locale):
    """In which order a whole date is written, and one without its year."""
    calendar = read("cldr-dates-full", "main", locale, "ca-gregorian.json")["main"][locale]["dates"]["calendars"]
    formats = calendar["gregorian"]
    whole = formats["dateFormats"]["short"].lower()
    without_year = formats["dateTimeFormats"]["availableFormats"]["Md"].lower()
    # The end of an ISO date tells nothing of those with another sign.
    is_told = "-" not in without_year
    return ["".join(sorted("dmy", key=whole.index)), "".join(sorted("dm", key=without_year.index)) if is_told else ""]


def countries(known, all_locales):
    """For each country the two orders of its dates, and what its people speak, most of them first."""
    territories = read("cldr-core", "supplemental", "territoryInfo.json")["supplemental"]["territoryInfo"]
    found = {}
    for code, territory in sorted(territories.items()):
        spoken = {}
        for name, facts in territory.get("languagePopulation", {}).items():
            language = name.split("_")[0]
            share = float(facts["_populationPercent"])
            is_official = "official" in facts.get("_officialStatus", "")
            if language in known and (is_official or share >= SPOKEN):
                before = spoken.get(language, (0, False))
                spoken[language] = max(share, before[0]), is_official or before[1]
        if not spoken or len(code) != 2 or code == "ZZ":
            continue
        by_share = sorted(spoken, key=lambda language: -spoken[language][0])
        # Dates are written in the language of the offices. Where a whole one begins with its year and the languages
        # disagree on the rest, a day and a month tell no order.
        official = [language for language in by_share if spoken[language][1]] or by_share[:1]
        written = [orders(f"{name}-{code}" if f"{name}-{code}" in all_locales else name) for name in official]
        is_told = written[0][0] != "ymd" or len({short for _, short in written}) == 1
        without_year = written[0][1] if is_told else ""
        found[code] = [written[0][0], without_year, *by_share]
    return found


def main():
    rule_sets = read("cldr-core", "supplemental", "dayPeriods.json")["supplemental"]["dayPeriodRuleSet"]
    languages = {}
    all_locales = locales()
    for name in sorted(all_locales, key=lambda name: (name.count("-"), name)):
        base = name.split("-")[0]
        rules = rule_sets.get(name, rule_sets.get(base, {}))
        add_locale(languages.setdefault(base, {}), name, rules)
    for base, language in languages.items():
        names = [name for name in all_locales if name.split("-")[0] == base]
        for key, numbers in (("cardinals", range(101)), ("hundreds", range(200, 1000, 100))):
            language[key] = merge(spelled(names, "cardinal", numbers), spelled(names, "numbering", numbers))
        if language["cardinals"]:
            # A hundred as it is said before other numbers, as in `ciento uno`.
            for more in spelled(names, "cardinal", [120])[:1] or [[]]:
                ends = [form.split() for form in more]
                add(language["cardinals"][100], *(words[0] for words in ends if len(words) == 2))
        language["ordinals"] = spelled(names, "ordinal", range(32))
        language["multiples"] = multiples(base)
    version = read("cldr-dates-full", "package.json")["version"]
    lines = [f"\"cldr\": {json.dumps(version)}", "\"countries\": " + json.dumps(countries(languages, set(all_locales)))]
    parts = (f"{json.dumps(name)}: {json.dumps(language, ensure_ascii=False)}" for name, language in sorted(languages.items()))
    lines.append("\"languages\": {\n" + ",\n".join(parts) + "\n}")
    path = pathlib.Path(__file__).with_name("cldr.json")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
