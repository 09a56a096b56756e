"""What NVIDIA's own client, unmodified, gets from a Postern gateway. Arguments: host:port of one that serves the models of
test/support/tensor-models.ts and the photo model `colours`, and a PNG of a red photo. Prints a line for each check that held."""

import asyncio
import sys

import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

URL, RED_PHOTO = sys.argv[1], sys.argv[2]

NUMPY_TYPES = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
    "FP16": np.float16, "FP32": np.float32, "FP64": np.float64,
}


def values(datatype: str) -> np.ndarray:
    """Two rows of two, at the ends of what the datatype holds."""
    if datatype == "BYTES":
        return np.array([[b"", "진달래".encode()], [b"rose", b"a b"]], dtype=np.object_)
    dtype = NUMPY_TYPES[datatype]
    if datatype == "BOOL":
        return np.array([[True, False], [False, True]])
    if datatype.startswith("FP"):
        info = np.finfo(dtype)
        return np.array([[info.max, info.min], [np.nan, np.inf]], dtype=dtype)
    info = np.iinfo(dtype)
    return np.array([[info.max, info.min], [1, 2]], dtype=dtype)


def tensor(name: str, array: np.ndarray, datatype: str, binary: bool = True) -> triton.InferInput:
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def fp32(name: str, rows: list) -> triton.InferInput:
    return tensor(name, np.array(rows, dtype=np.float32), "FP32")


def pair(a: list, b: list) -> list:
    return [fp32("a", a), fp32("b", b)]


def equal(got: np.ndarray, expected: np.ndarray) -> bool:
    if expected.dtype == np.object_:
        as_bytes = [[item.encode() if isinstance(item, str) else item for item in row] for row in got.tolist()]
        return as_bytes == expected.tolist()
    return got.dtype == expected.dtype and np.array_equal(got, expected, equal_nan=expected.dtype.kind == "f")


def refused(run, status: str, part: str) -> None:
    try:
        run()
    except InferenceServerException as error:
        assert error.status() == status, f"{error.status()} {error.message()}"
        assert part in error.message(), error.message()
        return
    raise AssertionError(f"expected {status} with {part!r}, but it was answered")


def health_and_metadata(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("sum") and client.is_model_ready("sum", "1")
    assert not client.is_model_ready("nothing") and not client.is_model_ready("sum", "2")
    server = client.get_server_metadata()
    assert server["name"] == "postern" and "binary_tensor_data" in server["extensions"], server
    model = client.get_model_metadata("sum")
    assert model["versions"] == ["1"] and model["platform"] == "onnx_onnxv1", model
    assert model["inputs"] == [
        {"name": "a", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "b", "datatype": "FP32", "shape": [-1, 3]},
    ], model
    assert [output["name"] for output in model["outputs"]] == ["sum", "difference"], model
    assert client.get_model_config("sum")["max_batch_size"] == 8
    names = {entry["name"] for entry in client.get_model_repository_index() if entry["state"] == "READY"}
    assert {"same", "sum", "whole", "colours"} <= names, names


def every_datatype(client: triton.InferenceServerClient) -> None:
    described = client.get_model_metadata("same")["inputs"]
    assert len(described) == 13, described
    datatypes = {spec["name"]: spec["datatype"] for spec in described}
    for binary in (True, False):
        inputs = []
        for name, datatype in datatypes.items():
            # Its JSON has no place for FP16, and its numbers lose what is beyond 2^53.
            as_bytes = binary or datatype in ("FP16", "UINT64", "INT64") or datatype.startswith("FP")
            inputs.append(tensor(name, values(datatype), datatype, as_bytes))
        outputs = [triton.InferRequestedOutput(f"{name}_out", binary_data=binary) for name in datatypes if binary or name != "fp16"]
        answer = client.infer("same", inputs, outputs=outputs, request_id="42")
        assert answer.get_response()["id"] == "42"
        for name, datatype in datatypes.items():
            if not binary and name == "fp16":
                continue
            got = answer.as_numpy(f"{name}_out")
            assert equal(got, values(datatype)), f"{datatype}: {got}"


def requested_outputs(client: triton.InferenceServerClient) -> None:
    inputs = pair([[1, 2, 3]], [[10, 20, 30]])
    everything = client.infer("sum", inputs)
    assert [output["name"] for output in everything.get_response()["outputs"]] == ["sum", "difference"]
    one = client.infer("sum", inputs, outputs=[triton.InferRequestedOutput("difference", binary_data=False)])
    assert one.get_response()["outputs"] == [
        {"name": "difference", "datatype": "FP32", "shape": [1, 3], "data": [-9, -18, -27]}
    ], one.get_response()
    best = client.infer("sum", inputs, outputs=[triton.InferRequestedOutput("sum", class_count=2)])
    assert best.as_numpy("sum").tolist() == [[b"33:2", b"22:1"]], best.as_numpy("sum")


def large_and_packed(client: triton.InferenceServerClient) -> None:
    big = np.arange(2_500_000, dtype=np.float32).reshape(1000, 2500)
    answer = client.infer("whole", [tensor("x", big, "FP32")])
    assert np.array_equal(answer.as_numpy("x_out"), big)
    for algorithm in ("gzip", "deflate"):
        packed = client.infer("whole", [tensor("x", big[:10], "FP32")], request_compression_algorithm=algorithm)
        assert np.array_equal(packed.as_numpy("x_out"), big[:10])
    empty = np.zeros((0, 4), dtype=np.float32)
    assert client.infer("whole", [tensor("x", empty, "FP32")]).as_numpy("x_out").shape == (0, 4)


def photo(client: triton.InferenceServerClient) -> None:
    with open(RED_PHOTO, "rb") as file:
        image = tensor("input", np.array([file.read()], dtype=np.object_), "BYTES")
    answer = client.infer("colours", [image]).as_numpy("output")
    assert b'"label":"red"' in answer[0], answer
    top = client.infer("colours", [image], parameters={"top_k": 1}).as_numpy("output")
    assert top[0].count(b'"label"') == 1, top
    refused(lambda: client.infer("colours", [tensor("input", np.array([b"no photo"], dtype=np.object_), "BYTES")]), "422", "image")


def concurrent(client: triton.InferenceServerClient) -> None:
    calls = [client.async_infer("sum", pair([[index] * 3] * 3, [[1] * 3] * 3), request_id=str(index)) for index in range(200)]
    for index, call in enumerate(calls):
        answer = call.get_result()
        assert answer.get_response()["id"] == str(index)
        assert (answer.as_numpy("sum") == index + 1).all()


def wrong(client: triton.InferenceServerClient) -> None:
    refused(lambda: client.infer("nothing", pair([[1, 2, 3]], [[1, 2, 3]])), "404", "nothing")
    refused(lambda: client.infer("sum", [fp32("a", [[1, 2, 3]])]), "422", '"b"')
    refused(lambda: client.infer("sum", pair([[1, 2]], [[1, 2]])), "422", "[-1, 3]")
    refused(lambda: client.infer("sum", pair([[1, 2, 3]] * 9, [[1, 2, 3]] * 9)), "422", "9 rows")
    refused(lambda: client.infer("forgetful", [fp32("x", [[1, 2, 3]] * 2)]), "502", "2 rows went in")


async def from_coroutines() -> None:
    async with triton_aio.InferenceServerClient(URL) as client:
        assert await client.is_server_ready()

        async def one(index: int) -> None:
            answer = await client.infer("sum", pair([[index] * 3], [[1] * 3]))
            assert answer.as_numpy("sum").tolist() == [[index + 1] * 3]

        await asyncio.gather(*(one(index) for index in range(100)))


def main() -> None:
    client = triton.InferenceServerClient(URL, concurrency=16)
    for check in (health_and_metadata, every_datatype, requested_outputs, large_and_packed, photo, concurrent, wrong):
        check(client)
        print(check.__name__, flush=True)
    client.close()
    asyncio.run(from_coroutines())
    print(from_coroutines.__name__)


main()
