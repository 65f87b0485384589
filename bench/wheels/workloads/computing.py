"""Work of the wheels that compute: arrays, tables, fits, geometry, images, models.

Does: for each a function that prepares, and returns one round of work. Does not: say how often it is done (`targets/work.py`).
"""

import io


def numpy(world):
    import numpy
    random = numpy.random.default_rng(1)
    square, values = random.random((300, 300)), random.random(200_000)

    def round_():
        numpy.linalg.solve(square, square @ square)
        numpy.linalg.svd(square[:100, :100])
        numpy.sort(values)
        numpy.exp(values).sum()
        numpy.fft.rfft(values)
        values.astype("float32").cumsum()
    return round_


def scipy(world):
    import numpy
    import scipy.integrate
    import scipy.optimize
    import scipy.signal
    import scipy.sparse.linalg
    random = numpy.random.default_rng(1)
    sparse = scipy.sparse.random(2_000, 2_000, 0.002, format="csc", rng=random) + scipy.sparse.eye(2_000, format="csc") * 9
    values = random.random(20_000)

    def round_():
        scipy.sparse.linalg.spsolve(sparse, values[:2_000])
        scipy.optimize.minimize(scipy.optimize.rosen, [1.3, 0.7, 0.8, 1.9, 1.2], method="L-BFGS-B")
        scipy.integrate.solve_ivp(lambda t, y: [y[1], -y[0]], (0, 20), [1, 0], method="LSODA")
        scipy.signal.medfilt(values, 21)
        scipy.integrate.quad(lambda x: x * x, 0, 1)
    return round_


def pandas(world):
    import numpy
    import pandas
    random = numpy.random.default_rng(1)
    table = pandas.DataFrame({"key": random.integers(0, 500, 50_000), "value": random.random(50_000),
                              "word": random.choice(["ant", "bee", "cow", "dog"], 50_000)})
    text = table[:5_000].to_csv(index=False)

    def round_():
        table.groupby(["key", "word"]).value.agg(["mean", "max"])
        table.merge(table[["key", "word"]][:500], on="key").word_x.value_counts()
        pandas.read_csv(io.StringIO(text))
        table.value.rolling(50).median()
    return round_


def scikit_learn(world):
    import numpy
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    random = numpy.random.default_rng(1)
    features = random.random((2_000, 10))
    classes = (features[:, 0] + features[:, 1] ** 2 > 1).astype(int)

    def round_():
        LogisticRegression().fit(features, classes)
        RandomForestClassifier(10).fit(features, classes)
        HistGradientBoostingClassifier(max_iter=10).fit(features, classes)
    return round_


def polars(world):
    import polars
    table = polars.DataFrame({"key": [number * 7919 % 500 for number in range(200_000)],
                              "value": [number % 97 / 7 for number in range(200_000)]})

    def round_():
        table.lazy().group_by("key").agg(polars.col("value").mean(), polars.col("value").max().alias("top")).sort("top").collect()
        table.join(table.head(500), on="key").select(polars.col("value").rolling_median(20).sum())
        table.select(polars.col("key").cast(polars.String).str.contains("7[0-3]").sum())
    return round_


def pyarrow(world):
    import pyarrow
    import pyarrow.compute
    import pyarrow.parquet
    table = pyarrow.table({"key": [number * 7919 % 500 for number in range(100_000)],
                           "word": [str(number % 999) for number in range(100_000)]})

    def round_():
        file = io.BytesIO()
        pyarrow.parquet.write_table(table, file)
        again = pyarrow.parquet.read_table(io.BytesIO(file.getvalue()))
        again.group_by("key").aggregate([("word", "count_distinct")])
        pyarrow.compute.match_substring_regex(again["word"], "7[0-3]$")
    return round_


def numba(world):
    import numba

    @numba.njit
    def collatz(limit):
        longest = 0
        for start in range(1, limit):
            steps, number = 0, start
            while number != 1:
                number = 3 * number + 1 if number % 2 else number // 2
                steps += 1
            longest = max(longest, steps)
        return longest

    def round_():
        assert collatz(20_000) == 278
        # A function that is new is compiled.
        numba.njit(lambda x: x * x + 1)(3)
    return round_


def llvmlite(world):
    import llvmlite.binding as llvm
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    text = "define i64 @f{0}(i64 %a) {{\n%b = mul i64 %a, {0}\n%c = add i64 %b, %a\n%d = udiv i64 %c, 7\nret i64 %d\n}}"
    body = "\n".join(text.format(number) for number in range(100))
    machine = llvm.Target.from_default_triple().create_target_machine()

    def round_():
        module = llvm.parse_assembly(body)
        module.verify()
        assert machine.emit_object(module)
    return round_


def contourpy(world):
    import contourpy
    import numpy
    x, y = numpy.meshgrid(numpy.linspace(0, 9, 200), numpy.linspace(0, 9, 200))
    z = numpy.sin(x) * numpy.cos(y)

    def round_():
        for name in ("serial", "threaded"):
            generator = contourpy.contour_generator(x, y, z, name=name)
            for level in (-0.5, 0.1, 0.6):
                generator.lines(level)
                generator.filled(level, level + 0.2)
    return round_


def kiwisolver(world):
    import kiwisolver

    def round_():
        solver = kiwisolver.Solver()
        variables = [kiwisolver.Variable(str(number)) for number in range(150)]
        for left, right in zip(variables, variables[1:]):
            solver.addConstraint((left + 10 <= right) | "strong")
            solver.addConstraint((right - left == 12) | "weak")
        solver.addEditVariable(variables[0], "strong")
        solver.suggestValue(variables[0], 7)
        solver.updateVariables()
        assert variables[-1].value() > variables[0].value()
    return round_


def matplotlib(world):
    import matplotlib
    matplotlib.use("agg")
    from matplotlib import pyplot

    def round_():
        figure, axes = pyplot.subplots()
        axes.plot(range(1_000), [number * 7919 % 97 for number in range(1_000)])
        axes.set_title("Zürich $x^2$")
        figure.savefig(io.BytesIO(), format="png")
        pyplot.close(figure)
    return round_


def pillow(world):
    from PIL import Image, ImageFilter
    image = Image.effect_noise((600, 600), 80).convert("RGB")

    def round_():
        for kind in ("JPEG", "PNG", "WEBP", "AVIF"):
            file = io.BytesIO()
            image.resize((400, 300), Image.Resampling.LANCZOS).save(file, kind)
            Image.open(file).load()
        image.filter(ImageFilter.GaussianBlur(5)).rotate(17)
    return round_


def opencv_python_headless(world):
    import cv2
    import numpy
    image = numpy.random.default_rng(1).integers(0, 255, (600, 600, 3), dtype="uint8")

    def round_():
        grey = cv2.cvtColor(cv2.GaussianBlur(image, (9, 9), 3), cv2.COLOR_BGR2GRAY)
        cv2.Canny(grey, 50, 150)
        cv2.ORB_create().detectAndCompute(grey, None)
        cv2.imdecode(cv2.imencode(".jpg", image)[1], cv2.IMREAD_COLOR)
        cv2.resize(image, (1_000, 1_000), interpolation=cv2.INTER_CUBIC)
        cv2.medianBlur(image, 7)
    return round_


def shapely(world):
    import shapely
    circles = [shapely.Point(number % 20, number // 20).buffer(0.8) for number in range(200)]

    def round_():
        assert shapely.union_all(circles).area > 100
        tree = shapely.STRtree(circles)
        for circle in circles:
            tree.query(circle, predicate="intersects")
        [left.intersection(right).area for left, right in zip(circles, circles[1:])]
    return round_


def h5py(world):
    import h5py
    import numpy
    values = numpy.random.default_rng(1).random((300, 300))

    def round_():
        with h5py.File("memory", "w", driver="core", backing_store=False) as file:
            for number in range(20):
                file.create_group(f"group {number}").attrs["unit"] = "m"
            file.create_dataset("values", data=values, chunks=(50, 50), compression="gzip", shuffle=True)
            assert file["values"][10:200, 5].shape == (190,)
    return round_


def onnxruntime(world):
    import numpy
    import onnxruntime
    session = onnxruntime.InferenceSession(_model(), providers=["CPUExecutionProvider"])
    values = numpy.random.default_rng(1).random((300, 300), dtype="float32")

    def round_():
        assert session.run(None, {"a": values})[0].shape == (300, 300)
    return round_


def _model():
    """An ONNX model, Tanh(MatMul(a, a)) of 300 × 300 floats, as the bytes of its protocol buffer (onnx.proto3)."""
    def number(field, value):
        return bytes([field << 3]) + _varint(value)

    def part(field, value):
        value = value.encode() if isinstance(value, str) else value
        return bytes([field << 3 | 2]) + _varint(len(value)) + value
    shape = part(1, number(1, 300)) + part(1, number(1, 300))
    tensor = part(2, part(1, number(1, 1) + part(2, shape)))
    nodes = part(1, part(1, "a") + part(1, "a") + part(2, "b") + part(4, "MatMul")) + part(1, part(1, "b") + part(2, "c") + part(4, "Tanh"))
    graph = nodes + part(2, "graph") + part(11, part(1, "a") + tensor) + part(12, part(1, "c") + tensor)
    return number(1, 8) + part(7, graph) + part(8, part(1, "") + number(2, 13))


def _varint(value):
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])
