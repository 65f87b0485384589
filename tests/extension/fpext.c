/* A C extension whose native stack is known: the tests compare what fpprof reports with what is written here.
 *
 * Compiled three times under three names (FPEXT_NAME): with frame pointers, without, and without and stripped.
 * Every function that a test looks for is kept out of line, and no call of one is in tail position: the volatile
 * write after each call is what stops the compiler from turning it into a jump.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <time.h>
#include <unistd.h>

#define KEPT __attribute__((noinline, noclone, used))

static volatile unsigned long sink;

/* The innermost function: the Python callable is called from here. */
KEPT static PyObject *fpext_call(PyObject *callable)
{
    PyObject *result = PyObject_CallNoArgs(callable);
    sink++;
    return result;
}

/* Recurses `depth` times, so that depth + 1 frames of this function stand above fpext_call. */
KEPT static PyObject *fpext_descend(PyObject *callable, int depth)
{
    PyObject *result = depth > 0 ? fpext_descend(callable, depth - 1) : fpext_call(callable);
    sink++;
    return result;
}

/* call_at_depth(callable, depth): calls it under depth + 1 frames of fpext_descend and one of fpext_call. */
static PyObject *fpext_call_at_depth(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *callable;
    int depth;
    if (!PyArg_ParseTuple(args, "Oi", &callable, &depth))
        return NULL;
    if (depth < 0 || depth > 100000) {
        PyErr_SetString(PyExc_ValueError, "depth is out of range");
        return NULL;
    }
    PyObject *result = fpext_descend(callable, depth);
    sink++;
    return result;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The leaf that spins: no calls, no stack but its own. */
KEPT static void fpext_spin_inner(unsigned long rounds)
{
    for (unsigned long i = 0; i < rounds; i++)
        sink += i;
}

KEPT static void fpext_spin(double until)
{
    do {
        fpext_spin_inner(1000000);
    } while (seconds_now() < until);
    sink++;
}

/* spin(seconds): holds the GIL; all but a millionth of the time is in fpext_spin_inner. */
static PyObject *fpext_spin_for(PyObject *module, PyObject *args)
{
    (void)module;
    double seconds;
    if (!PyArg_ParseTuple(args, "d", &seconds))
        return NULL;
    fpext_spin(seconds_now() + seconds);
    sink++;
    Py_RETURN_NONE;
}

/* The leaf of spin_until: reads one byte of the flag again and again. */
KEPT static void fpext_spin_flag(volatile unsigned char *flag)
{
    flag[1] = 1;
    while (*flag == 0)
        sink++;
}

/* spin_until(flag): spins without the GIL until the first byte of the bytearray is not 0; makes the second one 1 when
 * it begins. */
static PyObject *fpext_spin_until(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer flag;
    if (!PyArg_ParseTuple(args, "w*", &flag))
        return NULL;
    if (flag.len > 1) {
        Py_BEGIN_ALLOW_THREADS
        fpext_spin_flag(flag.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&flag);
    sink++;
    Py_RETURN_NONE;
}

/* Blocks in read(2) until there is a byte or the end of the file. */
KEPT static ssize_t fpext_park(int fd)
{
    char byte;
    ssize_t count;
    do {
        count = read(fd, &byte, 1);
    } while (count < 0 && errno == EINTR);
    sink++;
    return count;
}

/* park(fd): blocks in fpext_park, without the GIL. */
static PyObject *fpext_park_on(PyObject *module, PyObject *args)
{
    (void)module;
    int fd;
    ssize_t count;
    if (!PyArg_ParseTuple(args, "i", &fd))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    count = fpext_park(fd);
    Py_END_ALLOW_THREADS
    return PyLong_FromSsize_t(count);
}

/* n + 1 frames of this function, of more than 2 KB each, then fpext_park. */
KEPT static ssize_t fpext_deep(int n, int fd)
{
    volatile char wide[2048];
    wide[0] = (char)n;
    ssize_t count = n > 0 ? fpext_deep(n - 1, fd) : fpext_park(fd);
    sink += (unsigned char)wide[0];
    return count;
}

/* deep(n, fd): parks on fd under n + 1 frames of fpext_deep, without the GIL. */
static PyObject *fpext_deep_on(PyObject *module, PyObject *args)
{
    (void)module;
    int n, fd;
    ssize_t count;
    if (!PyArg_ParseTuple(args, "ii", &n, &fd))
        return NULL;
    if (n < 0 || n > 100000) {
        PyErr_SetString(PyExc_ValueError, "n is out of range");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    count = fpext_deep(n, fd);
    Py_END_ALLOW_THREADS
    return PyLong_FromSsize_t(count);
}

static PyMethodDef methods[] = {
    {"call_at_depth", fpext_call_at_depth, METH_VARARGS, "call_at_depth(callable, depth)"},
    {"spin", fpext_spin_for, METH_VARARGS, "spin(seconds)"},
    {"spin_until", fpext_spin_until, METH_VARARGS, "spin_until(bytearray)"},
    {"park", fpext_park_on, METH_VARARGS, "park(fd)"},
    {"deep", fpext_deep_on, METH_VARARGS, "deep(n, fd)"},
    {NULL, NULL, 0, NULL},
};

#define STRING_(name) #name
#define STRING(name) STRING_(name)
#define INIT_(name) PyInit_##name
#define INIT(name) INIT_(name)

static struct PyModuleDef module_definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = STRING(FPEXT_NAME),
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC INIT(FPEXT_NAME)(void)
{
    return PyModule_Create(&module_definition);
}
