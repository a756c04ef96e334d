#!/usr/bin/env python3
"""The tokenizer of tests/attention: WordPiece, as BERT has it, with as many tokens as the networks there have rows.

    pip install tokenizers
    python tools/make_tokenizer.py

Writes tests/attention/tokenizer.json. Its words are chosen, not learned: the networks have random weights.
"""

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

OUT = Path(__file__).resolve().parents[1] / "tests" / "attention" / "tokenizer.json"
VOCABULARY = 61
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = ["##ing", "##ed", "##s", "##ly", "##er", "##est", "##ness"]
WORDS = (
    "the a an this that it is was be not no never very so too and or but film movie story plot scene actor music end "
    "good great bad dull play act watch laugh feel like love hate bore slow kind clever you we they . , ! ?"
).split()


def main():
    tokens = SPECIAL + PIECES + WORDS
    assert len(tokens) == len(set(tokens)) == VOCABULARY, (len(tokens), len(set(tokens)))
    tokenizer = Tokenizer(models.WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", cls), ("[SEP]", sep)]
    )
    tokenizer.save(str(OUT))


if __name__ == "__main__":
    main()
