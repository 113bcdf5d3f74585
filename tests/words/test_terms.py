import pytest

from image_embeddings.words.terms import MAX_TERMS, meaning_of, terms_of, words_of


def found(text):
    return [term.phrases[-1] for term in terms_of(text)]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["IMG_1234"], "IMG 1234"),
        (["2024-rome", "Forum.Romanum"], "2024 rome Forum Romanum"),
        (["Cafe\u0301"], "Caf\u00e9"),
        (["", "…"], ""),
    ],
)
def test_names_are_split_into_words(names, words):
    assert words_of(names) == words


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("a dog", "dog"),
        ("the cathedral of Rome", "cathedral Rome"),
        ("there is a dog on the table in the house", "dog table house"),
        ("der Dom in Rom", "Dom Rom"),
        ("die Kirche", "Kirche"),
        ("l'église de la ville", "église ville"),
        ("dell’arte", "arte"),
        ("un perro en la playa", "perro playa"),
        ("um cão na praia", "cão praia"),
        ("een hond op het strand", "hond strand"),
        ("pies na plaży", "pies plaży"),
        ("её кот в саду", "кот саду"),
        ("bahçede bir köpek ve kedi", "bahçede köpek kedi"),
        ("كلب في الحديقة", "كلب الحديقة"),
        ("Grandma's old doll", "Grandma old doll"),
        ("dog,cat; bird: (nest)", "dog cat bird nest"),
    ],
)
def test_function_words_are_no_terms(text, terms):
    assert found(text) == terms.split()


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("東京タワーの写真", "東京 タワー"),
        ("日本の犬", "日本 犬"),
        ("家族", "家族"),
        ("赤い花", "赤 花"),
        ("さくらの木", "さくら 木"),
        ("りんごとバナナ", "りんご バナナ"),
        ("ひまわり", "ひまわり"),
        ("2024年5月1日", "2024年5月1日"),
        ("红色的汽车", "红色 汽车"),
        ("目的", "目的"),
        ("iPhone写真", "iPhone"),
        ("도쿄타워의 사진", "도쿄타워"),
        ("강아지가", "강아지"),
        ("고양이", "고양"),
    ],
)
def test_terms_of_texts_without_spaces_or_with_particles(text, terms):
    assert found(text) == terms.split()


def test_a_korean_noun_is_looked_for_with_its_last_syllable_too():
    assert terms_of("고양이")[0].phrases == ("고양이", "고양")


@pytest.mark.parametrize("text", ["hat", "red hat", "the hat", "a cat in a hat"])
def test_a_word_with_a_meaning_in_another_language_is_a_term(text):
    assert found(text)[-1] == "hat"


def test_it_is_no_term_if_the_other_words_show_its_language():
    assert found("der Hund hat einen Ball") == ["Hund", "Ball"]


@pytest.mark.parametrize(("text", "terms"), [("at", "at"), ("dog at beach", "dog beach"), ("die", "die")])
def test_a_word_of_two_languages_is_a_term_if_the_text_has_no_other(text, terms):
    assert found(text) == terms.split()


@pytest.mark.parametrize(
    ("text", "terms"), [("photos of a cathedral", "cathedral"), ("photos", "photos"), ("写真", "写真")]
)
def test_a_word_for_a_photo_is_a_term_only_if_there_is_no_other(text, terms):
    assert found(text) == terms.split()


@pytest.mark.parametrize(
    ("text", "phrase", "spelling"),
    [
        ("IMG_0007", "IMG 0007", "IMG_0007"),
        ("“IMG_0007.jpg”", "IMG 0007 jpg", "IMG_0007.jpg"),
        ("2023-07-14", "2023 07 14", "2023-07-14"),
        ("l'église", "église", "l'église"),
        ("DSC01234", "DSC01234", "DSC01234"),
    ],
)
def test_a_name_is_one_term(text, phrase, spelling):
    (term,) = terms_of(text)
    assert (term.phrases, term.spelling) == ((phrase,), spelling)


def test_terms_come_once_and_not_without_end():
    assert found("dog dog cat") == ["dog", "cat"]
    assert len(terms_of(" ".join(f"word{number}" for number in range(200)))) == MAX_TERMS


@pytest.mark.parametrize(
    "text", ["!!!", "...", "???", "-", ";;", "@", "the", "the of and", "の", "und", "qu'est-ce que"]
)
def test_a_text_may_say_nothing(text):
    assert meaning_of(text) == ""


@pytest.mark.parametrize(
    ("text", "meaning"), [("a 🐶", "🐶"), ("the dog!", "dog"), ("IMG_0007", "IMG_0007"), ("3", "3"), ("写真", "写真")]
)
def test_what_may_say_something_is_left(text, meaning):
    assert meaning_of(text) == meaning
