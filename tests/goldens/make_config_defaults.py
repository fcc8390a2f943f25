"""What transformers takes for each key that a config.json leaves out.

For every tiny checkpoint `default/` of a family: the family's configuration class is made from its
config.json without one key at a time ("defaults"), and with null for it ("nulls"); what the class
then has there goes to `testdata/config_defaults.json`. A null that stays null is left out. Keys
below rope_parameters are paths ("rope_parameters/rope_theta"), and so are those of a configuration
within another ("vision_config/patch_size"). tests/parity/config_defaults.cc
holds the plugins against it.
"""

import copy
import json
import pathlib
import sys
import tempfile

import transformers
from transformers import PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOME = ROOT / "plugins"
# Of no meaning to a model's numbers, or of every class alike.
IGNORED = set(PreTrainedConfig().to_dict()) - {"tie_word_embeddings"} | {
    "architectures",
    "attention_dropout",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "dtype",
    "initializer_range",
    "model_type",
    "transformers_version",
    "use_cache",
}


def without(config, path, null=False):
    out = copy.deepcopy(config)
    at, keys = out, path.split("/")
    for key in keys[:-1]:
        at = at[key]
    at.pop(keys[-1], None)
    if null:
        at[keys[-1]] = None
    return out


def load(cls, config):
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "config.json")
        path.write_text(json.dumps(config))
        return cls.from_pretrained(directory)


def found(made, path):
    for key in path.split("/"):
        made = made[key] if isinstance(made, dict) else getattr(made, key)
    return made


def paths_of(made, config):
    """Those of the keys that `config` has or its class `made` knows."""
    paths = set(type(made)().to_dict()) | set(config)
    if isinstance(config.get("rope_parameters"), dict):
        paths |= {f"rope_parameters/{key}" for key in config["rope_parameters"]}
    for key, inner in vars(made).items():
        if isinstance(inner, PreTrainedConfig):
            paths -= {key}
            paths |= {f"{key}/{path}" for path in paths_of(inner, config[key])}
    return {path for path in paths if path.split("/")[-1] not in IGNORED}


def values(config, null):
    cls = CONFIG_MAPPING[config["model_type"]]
    out = {}
    for path in sorted(paths_of(load(cls, config), config)):
        try:
            value = found(load(cls, without(config, path, null)), path)
            json.dumps(value)
        except Exception as error:  # the rest of the config insists on it
            print(f"  {path}: {type(error).__name__}, left out", file=sys.stderr)
            continue
        if not (null and value is None):
            out[path] = value
    return out


def main(families):
    for directory in sorted(HOME.iterdir()):
        file = directory / "testdata" / "default" / "config.json"
        if not file.exists() or (families and directory.name not in families):
            continue
        print(directory.name, file=sys.stderr)
        config = json.loads(file.read_text())
        golden = {
            "transformers": transformers.__version__,
            "defaults": values(config, null=False),
            "nulls": values(config, null=True),
        }
        text = json.dumps(golden, indent=2, sort_keys=True) + "\n"
        (directory / "testdata" / "config_defaults.json").write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
