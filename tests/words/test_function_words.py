from image_embeddings.words.function_words import function_words, meaningful

LANGUAGES = {"ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh"}


def test_every_language_of_the_built_in_model_has_function_words():
    words = function_words()
    counts = dict.fromkeys(LANGUAGES, 0)
    for languages in words.certain.values():
        for language in languages:
            counts[language] += 1
    assert counts.keys() == LANGUAGES  # Chinese counts as two languages there
    assert min(counts.values()) >= 30


def test_no_word_has_two_marks_in_one_language_or_a_capital_letter():
    words = function_words()
    kinds = [words.certain, words.unless_alone, words.ambiguous]
    for kind in kinds:
        for word, languages in kind.items():
            assert word == word.lower().replace("ё", "е")
            assert not [other for other in kinds if other is not kind and languages & other.get(word, set())]


def test_a_name_of_several_words_says_something_if_one_of_them_does():
    assert meaningful([["to", "the", "top"], ["to", "the"], ["dog"]]) == [True, False, True]


def test_a_tie_of_languages_shows_none():
    # "in" is of English and German, so nothing shows that "hat" is the German verb
    assert meaningful([["cat"], ["in"], ["hat"]]) == [True, False, True]
    assert meaningful([["der"], ["Hund"], ["hat"], ["Durst"]]) == [False, True, False, True]
