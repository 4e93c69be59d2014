# SPDX-License-Identifier: MIT
"""Real packages in two private interpreters at a time: they give what they give elsewhere.

A package that is not installed is skipped, unless SUBI_TEST_PACKAGES=all, as the Makefile sets it on
some versions.
"""

import importlib.util
import os
import sys
from textwrap import dedent

import pytest
from support import IN_PARALLEL, LONG, SLOWER, not_under_asan, run_script

# How often numpy is imported in new interpreters: 200 times on one version.
TIMES = 200 if LONG else 60 if sys.version_info[:2] == (3, 14) else 30

# package: code that leaves what it found out in `result`, as text
TASKS = {
    "numpy": """
        import numpy as np
        a = np.arange(90000.0).reshape(300, 300) % 17
        sums = np.linalg.svd(a @ a.T, compute_uv=False)[:3].round(3)
        drawn = np.random.default_rng(5).integers(1000, size=5)
        result = repr((sums.tolist(), drawn.tolist(), np.fft.rfft(a[0])[:2].round(3).tolist()))
    """,
    "pandas": """
        import io
        import pandas as pd
        frame = pd.read_csv(io.StringIO("a,b,t\\n1,2,2020-01-01\\n1,3,2021-02-03\\n2,5,2022-03-04"))
        frame["t"] = pd.to_datetime(frame["t"]).dt.tz_localize("Europe/Rome")
        result = frame.groupby("a").sum(numeric_only=True).to_json() + frame.to_csv()
    """,
    "lxml": """
        from lxml import etree
        root = etree.fromstring("<a>" + "".join(f"<b x='{n}'/>" for n in range(100)) + "</a>")
        try:
            etree.fromstring("<a>")
        except etree.XMLSyntaxError as error:
            result = str(error) + ",".join(root.xpath("//b[@x > 90]/@x"))
    """,
    "pydantic": """
        import datetime, pydantic
        class Model(pydantic.BaseModel):
            x: int
            when: datetime.date
        try:
            Model(x="no", when="2020-01-01")
        except pydantic.ValidationError as error:
            result = Model(x="3", when="2020-01-01").model_dump_json() + str(error)
    """,
    "sklearn": """
        from sklearn.cluster import KMeans
        from sklearn.datasets import load_iris
        from sklearn.ensemble import RandomForestClassifier
        data, kinds = load_iris(return_X_y=True)
        means = KMeans(3, n_init=1, random_state=0).fit(data).inertia_
        forest = RandomForestClassifier(10, random_state=0, n_jobs=2).fit(data, kinds)
        result = repr((round(float(means), 3), float(forest.score(data, kinds))))
    """,
    "scipy": """
        import numpy as np
        import scipy.fft, scipy.integrate, scipy.linalg, scipy.optimize, scipy.sparse
        root = scipy.optimize.brentq(lambda x: x * x - 2, 0, 2)
        area = scipy.integrate.quad(lambda x: x * x, 0, 3)[0]
        low = scipy.optimize.minimize(lambda x: (x[0] - 3) ** 2, [0.0], method="BFGS").x[0]
        values = scipy.linalg.eigvalsh(np.diag([3.0, 1.0, 2.0]))
        result = repr([round(float(x), 4) for x in (root, area, low, *values)])
    """,
    "cryptography": """
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        key = ec.generate_private_key(ec.SECP256R1())
        signed = key.sign(b"text", ec.ECDSA(hashes.SHA256()))
        key.public_key().verify(signed, b"text", ec.ECDSA(hashes.SHA256()))
        try:
            key.public_key().verify(signed, b"other", ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            result = AESGCM(bytes(16)).encrypt(bytes(12), b"text", None).hex()
    """,
    "PIL": """
        import io
        from PIL import Image, ImageDraw, ImageFilter
        image = Image.new("RGB", (64, 64), "red")
        ImageDraw.Draw(image).text((5, 5), "text", fill="blue")
        image = image.rotate(30).filter(ImageFilter.GaussianBlur(2))
        found = []
        for kind in ("PNG", "JPEG", "WEBP"):
            file = io.BytesIO()
            image.save(file, kind)
            found.append(Image.open(io.BytesIO(file.getvalue())).resize((8, 8)).tobytes().hex())
        result = " ".join(found)
    """,
    "cffi": """
        import cffi
        ffi = cffi.FFI()
        ffi.cdef("void qsort(void *, size_t, size_t, int (*)(const void *, const void *));")
        @ffi.callback("int(const void *, const void *)")
        def compare(a, b):
            a, b = ffi.cast("int *", a)[0], ffi.cast("int *", b)[0]
            return (a > b) - (a < b)
        numbers = ffi.new("int[]", [(7 * n) % 101 for n in range(101)])
        ffi.dlopen(None).qsort(numbers, 101, 4, compare)
        result = repr(list(numbers))
    """,
}

RUN = (
    IN_PARALLEL
    + """
import sys
import subinterpreters as si

package, code = sys.argv[1:]
recv, send = si.create_channel()

# twice before the main interpreter has loaded any of it, and once after that
for generation in range(3):
    interps = [si.create(isolation="private") for _ in range(2)]
    for each in interps:
        each.prepare_main(send=send)
    for _ in range(2):
        in_parallel(interps, code + "\\nsend.send(result)")
    results = [recv.recv() for _ in range(4)]
    if generation == 1:
        here = {}
        exec(code, here)
    if generation >= 1:
        assert results == [here["result"]] * 4, (results, here["result"])
    for each in interps:
        each.close()
"""
)


def need(package):
    if importlib.util.find_spec(package) is None:
        all_there = os.environ.get("SUBI_TEST_PACKAGES") == "all"
        (pytest.fail if all_there else pytest.skip)(f"{package} is not installed")


@pytest.mark.timeout(300 * SLOWER)  # imports of a large package six times, two at a time
@pytest.mark.parametrize("package", TASKS)
def test_two_at_a_time_give_what_the_main_interpreter_gives(package):
    need(package)
    run_script(RUN, package, dedent(TASKS[package]), timeout=280)


def test_numpy_in_parallel():
    need("numpy")
    if not os.path.exists("/proc/thread-self/schedstat"):
        pytest.skip("the kernel does not tell how long threads wait for a processor")
    script = """
        import os
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        import subinterpreters as si

        # Many small operations: the GIL is held nearly all of the time. Two that had one GIL would wait
        # for it half of the time. What others do on the processors is of no matter: a thread that
        # waits for a processor waits for nothing else.
        work = '''if True:
            import time
            import numpy as np

            def busy():
                with open("/proc/thread-self/schedstat") as file:
                    running, ready, _ = map(int, file.read().split())
                return (running + ready) / 1e9

            began, before = time.perf_counter(), busy()
            a = np.arange(50.0)
            for _ in range(200_000):
                a = a * 0.5 + 1.0
            ended = time.perf_counter()
            send.send((began, ended, ended - began - (busy() - before)))
        '''
        recv, send = si.create_channel()
        interps = [si.create(isolation="private") for _ in range(2)]
        for each in interps:
            each.prepare_main(send=send)
        for _ in range(20):
            in_parallel(interps, work)
            began, ended, waits = zip(recv.recv(), recv.recv())
            seconds, both = sum(ended) - sum(began), min(ended) - max(began)
            print(f"{seconds:.3f} s, {both:.3f} s with both, {sum(waits):.3f} s waiting")
            if both >= 0.4 * seconds and sum(waits) <= 0.1 * seconds:
                break
        else:
            raise AssertionError
        for each in interps:
            each.close()
    """
    run_script(IN_PARALLEL + dedent(script), timeout=100)


def test_numpy_costs_no_more_the_second_time():
    need("numpy")
    run_script(
        """
        import time
        import subinterpreters as si

        def take(interp):
            began = time.perf_counter()
            interp.exec("import numpy")
            return time.perf_counter() - began

        first, second = [], []
        for _ in range(20):
            with si.create(isolation="private") as a, si.create(isolation="private") as b:
                first.append(take(a))
                second.append(take(b))
            if min(second) <= 1.2 * min(first):
                break
        else:
            raise AssertionError((first, second))
        """,
        timeout=100,
    )


@not_under_asan("keeps what was freed")
def test_numpy_many_times_leaves_nothing_behind():
    need("numpy")
    done = run_script(
        """
        import os, sys
        import subinterpreters as si

        def look():
            with open("/proc/self/maps") as maps, open("/proc/self/statm") as statm:
                paths = [line.split(maxsplit=5)[5:] for line in maps]
                files = sum(bool(path) and path[0][0] == "/" for path in paths)
                rss = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
            return len(os.listdir("/proc/self/fd")), files, len(paths), rss

        def cycle():
            with si.create(isolation="private") as interp:
                interp.exec("import numpy; numpy.ones((50, 50)) @ numpy.ones((50, 50))")

        times = int(sys.argv[1])
        for _ in range(5):
            cycle()
        before = look()
        for _ in range(times):
            cycle()
        after = look()
        print("descriptors, mapped files, mappings, MiB:", before, after)
        assert after[0] <= before[0]
        assert after[1] <= before[1]
        assert after[2] <= before[2] + 10
        assert after[3] <= before[3] + 10 + times // 4
        """,
        str(TIMES),
        timeout=110,
    )
    print(done.stdout)
