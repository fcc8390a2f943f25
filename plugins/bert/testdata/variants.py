"""The tiny checkpoints of BERT and its kin that tests/goldens/make.sh writes beside this file."""

from variants import Variant

BERT = dict(
    vocab_size=128,
    hidden_size=48,
    num_hidden_layers=2,
    num_attention_heads=6,
    intermediate_size=80,
    max_position_embeddings=128,
    layer_norm_eps=1e-3,
    pad_token_id=0,
)
ROBERTA = dict(
    BERT,
    type_vocab_size=1,
    max_position_embeddings=130,
    pad_token_id=1,
    bos_token_id=0,
    eos_token_id=2,
)
GAINS = {"dense": 2.0}
LENGTHS = (1, 7, 120)

VARIANTS = (
    Variant(
        "default",
        BERT,
        must_matter=({"hidden_act": "relu"}, {"layer_norm_eps": 1e-12}),
        gains=GAINS,
        prompt_lengths=LENGTHS,
        servable=True,
        vectors_of="BertModel",
    ),
    Variant(
        "classifier",
        dict(
            BERT,
            id2label={0: "sad", 1: "so-so", 2: "happy"},
            label2id={"sad": 0, "so-so": 1, "happy": 2},
        ),
        gains=GAINS,
        prompt_lengths=LENGTHS,
        servable=True,
        vectors_of="BertForSequenceClassification",
    ),
    Variant(
        "cross_encoder",
        dict(BERT, id2label={0: "LABEL_0"}, label2id={"LABEL_0": 0}),
        gains=GAINS,
        prompt_lengths=LENGTHS,
        servable=True,
        vectors_of="BertForSequenceClassification",
    ),
    Variant(
        "roberta",
        ROBERTA,
        gains=GAINS,
        prompt_lengths=LENGTHS,
        vectors_of="RobertaModel",
        model_type="roberta",
    ),
    Variant(
        "xlm_roberta_classifier",
        dict(ROBERTA, id2label={0: "LABEL_0"}, label2id={"LABEL_0": 0}),
        gains=GAINS,
        prompt_lengths=LENGTHS,
        vectors_of="XLMRobertaForSequenceClassification",
        model_type="xlm-roberta",
    ),
)
