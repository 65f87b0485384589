"""Work of the wheels that look into text: regular expressions, tokens, encodings.

Does: for each a function that prepares, and returns one round of work. Does not: say how often it is done (`targets/work.py`).
"""

TEXT = " ".join(f"The {number}th fox jumps over {number * 7 % 13} lazy dogs at user{number}@host{number % 5}.example in Zürich."
                for number in range(2_000))


def regex(world):
    import regex
    pattern = regex.compile(r"(?P<user>\p{L}+\d+)@(?P<host>[\w.]+)(?<!dog)")
    fuzzy = regex.compile(r"(?:lazzy dgos){e<=2}")

    def round_():
        assert len(pattern.findall(TEXT)) == 2_000
        fuzzy.findall(TEXT[:20_000])
    return round_


def tiktoken(world):
    import tiktoken
    ranks = {bytes([byte]): byte for byte in range(256)}
    for pair in (b"th", b"he", b" t", b"er", b" d", b"og", b" l", b"az", b"zy", b"um", b"ps", b" the", b"dog", b"lazy", b"umps"):
        ranks[pair] = len(ranks)
    words = r"'s|'t| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+"
    encoding = tiktoken.Encoding("small", pat_str=words, mergeable_ranks=ranks, special_tokens={})

    def round_():
        assert encoding.decode(encoding.encode(TEXT)) == TEXT
    return round_


def tokenizers(world):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.train_from_iterator(TEXT.split("."), trainers.BpeTrainer(vocab_size=500, show_progress=False))

    def round_():
        assert len(tokenizer.encode(TEXT).ids) > 1_000
    return round_


def charset_normalizer(world):
    import charset_normalizer
    samples = ["Страница о разных вещах и людях. ".encode("cp1251") * 30,
               "Größe und Übermut tun selten gut. ".encode("utf-16") * 20]

    def round_():
        for sample in samples:
            charset_normalizer.from_bytes(sample).best()
    return round_
