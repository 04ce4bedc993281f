"""What the error codes of ATC mean for the networks that are exported here, and what to do.

Codes and their meanings: CANN's own registries of errors (graph engine, operators) and public reports about these networks.
"""

import re

_SHAPE = "batch_size and image_size give the shape: take --input_shape and --dynamic_* out of atc_options"
_OPTION = "correct it in atc_options; atc --help lists what this version of ATC takes"
_NO_PARSER = (
    "this CANN does not know an operator of the ONNX file, which are standard ones of opset 11: its toolkit is older than "
    "that, or not fully installed. Install toolkit and kernel package again, in one version"
)
_NO_KERNEL = (
    "there is no kernel for this chip in this precision: install the chip's kernel package (opp) in the toolkit's "
    "version, and pass --precision float16 or auto"
)
_INNER = "ATC failed inside; the log has its reason. Try --batch_size 1 and --aipp none, then another version of CANN"
_PATHS = "check that the file is there and may be read, and copy it again"

ADVICE = {
    "E10001": "ATC does not take a value. Of --soc_version: 'Ascend' and the chip name of npu-smi info, and a CANN that has "
    "the package of this chip; of others: " + _OPTION,
    "E10002": "the input shape is not understood; " + _SHAPE,
    "E10003": "an option has a wrong value; " + _OPTION,
    "E10004": "an option has no value; " + _OPTION,
    "E10005": "an option takes true or false; " + _OPTION,
    "E10006": "an option takes 0 or 1; " + _OPTION,
    "E10007": "an option is missing or has a wrong value; " + _OPTION,
    "E10011": "a shape has a number below 1; " + _SHAPE,
    "E10012": "the batch is not free where several batch sizes are asked for; " + _SHAPE,
    "E10013": "a number is out of range; " + _OPTION,
    "E10014": "an option has a wrong value; " + _OPTION,
    "E10016": "an option names a node that the ONNX file does not have; its input is called input, its output output1",
    "E10018": "only the batch may be free where several batch sizes are asked for; " + _SHAPE,
    "E10031": "the batch is not free where several batch sizes are asked for; " + _SHAPE,
    "E10034": "AIPP and float16 inputs exclude each other: pass --aipp none, or take --input_fp16_nodes out of atc_options",
    "E10035": "too few batch sizes; " + _SHAPE,
    "E10036": "too many batch sizes, at most 100; pass fewer with --batch_size",
    "E10039": "a batch size is there twice; " + _SHAPE,
    "E10040": "the batch is not free where several batch sizes are asked for; " + _SHAPE,
    "E10041": "the ONNX file cannot be loaded: copy it again, whole, beside the script",
    "E10047": "options exclude each other, as --precision_mode and --precision_mode_v2: pass --precision auto, or take one "
    "out of atc_options",
    "E10052": "this CANN does not take the AIPP file: pass --aipp none to normalize on the host instead",
    "E10054": "an option is empty or its value lacks quotation marks; " + _OPTION,
    "E10055": "this CANN cannot do what an option asks for; " + _OPTION,
    "E10056": "two options exclude each other; " + _OPTION,
    "E10410": "a file that an option names is not there; " + _OPTION,
    "E10501": "the operators of CANN are not found: source its set_env.sh, which sets ASCEND_OPP_PATH",
    "E13000": "a path is empty; " + _PATHS,
    "E13001": "a file cannot be opened; " + _PATHS,
    "E13003": "a file cannot be read; " + _PATHS,
    "E13004": "a file cannot be written: is the disk full, may the folder be written?",
    "E13005": "a file cannot be read as what it should be; " + _PATHS,
    "E13010": _NO_PARSER,
    "E13024": "a variable of the environment is wrong: source CANN's set_env.sh in a new shell",
    "E14001": "an operator is refused, mostly for its shape or precision: pass --precision float16, and no --input_shape",
    "E16001": "the ONNX file has no input: copy it again, whole, beside the script",
    "E16002": _NO_PARSER,
    "E16005": "the ONNX file names more than one set of operators; export the checkpoint again",
    "E19010": _NO_PARSER,
    "E20001": _NO_KERNEL,
    "E30006": "the kernel package (opp) is missing or of another version than the toolkit: install the chip's, in CANN's "
    "version",
    "E40021": _NO_KERNEL,
    "E70014": "AIPP and the network disagree about height and width: export the checkpoint again",
    "E76002": _NO_PARSER,
    "E80001": "the kernel package (opp) is damaged: install it again, in CANN's version",
    "E90003": _NO_KERNEL,
    "EZ0501": _NO_PARSER,
    "EZ3002": _NO_KERNEL,
    "EZ3003": _NO_KERNEL,
    "EZ9010": _NO_PARSER,
    "E19999": _INNER,
    "E29999": _INNER,
    "EZ9999": _INNER,
}
_LONGEST = 200  # characters of ATC's own message


def explained(output: str) -> str:
    """The first error of ATC's output that has an entry in `ADVICE`, inner errors last: its code, message and advice.

    Returns:
        One line; "" where there is none.
    """
    found: dict[str, str] = {}
    for match in re.finditer(r"\b(E[0-9A-Z]\d{4})\b[:\s]*(.*)", output):
        found.setdefault(match[1], match[2])
    codes = [code for code in found if code in ADVICE]
    code = next((code for code in codes if not code.endswith("9999")), codes[0] if codes else "")
    if not code:
        return ""
    message = re.sub(r"\[PID: *\d+\]|\d{4}-\d\d-\d\d-\d\d:\d\d:\d\d[.\d]*", "", found[code]).strip()
    shown = f" ({message[:_LONGEST]})" if message else ""
    return f"{code}{shown}: {ADVICE[code]}"
