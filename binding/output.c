// SPDX-License-Identifier: MIT
#include "output.h"

#include "blocking.h"
#include "runtime.h"

static const struct {
    unsigned bit;
    const char *name, *original;
} streams[] = {
    {SUBI_STDOUT, "stdout", "__stdout__"},
    {SUBI_STDERR, "stderr", "__stderr__"},
};

#define STREAMS ((int)Py_ARRAY_LENGTH(streams))

static const char *
name_of(unsigned stream)
{
    return streams[stream == SUBI_STDERR].name;
}

unsigned
subi_output_replaced(void)
{
    unsigned replaced = 0;
    for (int k = 0; k < STREAMS; k++) {
        PyObject *now = PySys_GetObject(streams[k].name);  // borrowed
        if (now != NULL && now != PySys_GetObject(streams[k].original)) {
            replaced |= streams[k].bit;
        }
    }
    return replaced;
}

// ---- in the caller ----------------------------------------------------------------------------

static const char *
utf8_or_empty(PyObject *text)
{
    const char *utf8 = text != NULL ? PyUnicode_AsUTF8(text) : NULL;
    PyErr_Clear();
    return utf8 != NULL ? utf8 : "";
}

// Takes the exception that is set. One that is no Exception is for the caller itself.
static void
describe_failure(native *n, output_failure *failure)
{
    PyObject *exc = PyErr_GetRaisedException();
    failure->raised = true;
    failure->kept = !PyObject_TypeCheck(exc, (PyTypeObject *)PyExc_Exception);
    if (failure->kept) {
        Py_XSETREF(n->signal, exc);
        return;
    }
    PyTypeObject *type = Py_TYPE(exc);
    while (PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
        type = type->tp_base;
    }
    const char *dot = strrchr(type->tp_name, '.');
    PyObject *text = PyObject_Str(exc);
    PyErr_Clear();
    PyOS_snprintf(failure->type, sizeof(failure->type), "%s",
                  dot != NULL ? dot + 1 : type->tp_name);
    PyOS_snprintf(failure->text, sizeof(failure->text), "%s", utf8_or_empty(text));
    Py_XDECREF(text);
    Py_DECREF(exc);
}

static PyObject *
call_stream(PyObject *stream, const char *utf8, Py_ssize_t size)
{
    if (utf8 == NULL) {
        return PyObject_CallMethod(stream, "flush", NULL);
    }
    PyObject *text = PyUnicode_DecodeUTF8(utf8, size, "surrogatepass");
    PyObject *done = text != NULL ? PyObject_CallMethod(stream, "write", "O", text) : NULL;
    Py_XDECREF(text);
    return done;
}

void
subi_output_write_here(native *n, unsigned stream, const char *utf8, Py_ssize_t size,
                       output_failure *failure)
{
    PyEval_RestoreThread(n->outer);
    PyObject *file = Py_XNewRef(PySys_GetObject(name_of(stream)));
    if (file != NULL && file != Py_None) {
        PyObject *done = call_stream(file, utf8, size);
        if (done == NULL) {
            describe_failure(n, failure);
        }
        Py_XDECREF(done);
    }
    Py_XDECREF(file);
    PyEval_SaveThread();
}

// ---- in the interpreter of the run ------------------------------------------------------------

// The same exception if it is a builtin one that can be made of a text, else OSError.
static void
raise_failure(const output_failure *failure)
{
    if (failure->kept) {
        PyErr_SetNone(PyExc_KeyboardInterrupt);
        return;
    }
    PyObject *builtins = PyEval_GetBuiltins();                       // borrowed
    PyObject *type = PyDict_GetItemString(builtins, failure->type);  // borrowed
    PyObject *text =
        PyUnicode_DecodeUTF8(failure->text, (Py_ssize_t)strlen(failure->text), "replace");
    PyObject *exc = NULL;
    if (text != NULL && type != NULL && PyExceptionClass_Check(type)) {
        exc = PyObject_CallOneArg(type, text);
        PyErr_Clear();
    }
    if (exc != NULL && PyExceptionInstance_Check(exc)) {
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
    }
    else if (text != NULL) {
        PyErr_SetObject(PyExc_OSError, text);
    }
    Py_XDECREF(exc);
    Py_XDECREF(text);
}

// The run that this thread is in, if its output is to be forwarded.
static native *
forwarding_run(unsigned stream)
{
    PyThreadState *here = PyThreadState_Get();
    subi_interp *i = subi_interp_find(PyThreadState_GetInterpreter(here));
    native *n = i != NULL ? subi_run_of_thread(i, here) : NULL;
    if (i != NULL) {
        subi_interp_drop(i);
    }
    return n != NULL && (n->output & stream) != 0 ? n : NULL;
}

// -1 with what it raised.
static int
forward(native *n, unsigned stream, const char *utf8, Py_ssize_t size)
{
    output_failure failure = {.raised = false};
    PyThreadState *here = PyEval_SaveThread();
    n->outer_runtime->write_output(n, stream, utf8, size, &failure);
    PyEval_RestoreThread(here);
    if (failure.raised) {
        raise_failure(&failure);
        return -1;
    }
    return 0;
}

// Calls a method of the interpreter's own stream; with that closed, None.
static PyObject *
call_original(unsigned stream, const char *method, PyObject *arg)
{
    PyObject *file = Py_XNewRef(PySys_GetObject(streams[stream == SUBI_STDERR].original));
    PyObject *done = NULL;
    if (file == NULL || file == Py_None) {
        Py_XDECREF(file);
        Py_RETURN_NONE;
    }
    done = arg != NULL ? PyObject_CallMethod(file, method, "O", arg)
                       : PyObject_CallMethod(file, method, NULL);
    Py_DECREF(file);
    return done;
}

static PyObject *
write_text(unsigned stream, PyObject *text)
{
    if (!PyUnicode_Check(text)) {
        return PyErr_Format(PyExc_TypeError, "write() argument must be str, not %.100s",
                            Py_TYPE(text)->tp_name);
    }
    native *n = forwarding_run(stream);
    if (n == NULL) {
        return call_original(stream, "write", text);
    }
    PyObject *utf8 = PyUnicode_AsEncodedString(text, "utf-8", "surrogatepass");
    if (utf8 == NULL) {
        return NULL;
    }
    int r = forward(n, stream, PyBytes_AS_STRING(utf8), PyBytes_GET_SIZE(utf8));
    Py_DECREF(utf8);
    return r == 0 ? PyLong_FromSsize_t(PyUnicode_GET_LENGTH(text)) : NULL;
}

static PyObject *
flush(unsigned stream)
{
    native *n = forwarding_run(stream);
    if (n == NULL) {
        return call_original(stream, "flush", NULL);
    }
    return forward(n, stream, NULL, 0) == 0 ? Py_NewRef(Py_None) : NULL;
}

static PyObject *
stdout_write(PyObject *self, PyObject *text)
{
    return write_text(SUBI_STDOUT, text);
}

static PyObject *
stderr_write(PyObject *self, PyObject *text)
{
    return write_text(SUBI_STDERR, text);
}

static PyObject *
stdout_flush(PyObject *self, PyObject *unused)
{
    return flush(SUBI_STDOUT);
}

static PyObject *
stderr_flush(PyObject *self, PyObject *unused)
{
    return flush(SUBI_STDERR);
}

static PyObject *
writable(PyObject *self, PyObject *unused)
{
    Py_RETURN_TRUE;
}

// It is not to be closed: it is there again in the next run, and refuses nothing.
static PyObject *
close_nothing(PyObject *self, PyObject *unused)
{
    Py_RETURN_NONE;
}

static PyObject *
get_encoding(PyObject *self, void *unused)
{
    return PyUnicode_FromString("utf-8");
}

static PyObject *
get_errors(PyObject *self, void *unused)
{
    return PyUnicode_FromString("surrogatepass");
}

static PyMethodDef stdout_methods[] = {
    {"write", stdout_write, METH_O, NULL},
    {"flush", stdout_flush, METH_NOARGS, NULL},
    {"writable", writable, METH_NOARGS, NULL},
    {"close", close_nothing, METH_NOARGS, NULL},
    {NULL},
};

static PyMethodDef stderr_methods[] = {
    {"write", stderr_write, METH_O, NULL},
    {"flush", stderr_flush, METH_NOARGS, NULL},
    {"writable", writable, METH_NOARGS, NULL},
    {"close", close_nothing, METH_NOARGS, NULL},
    {NULL},
};

static PyGetSetDef stream_getset[] = {
    {"encoding", get_encoding, NULL, NULL, NULL},
    {"errors", get_errors, NULL, NULL, NULL},
    {NULL},
};

static bool
is_ours(PyObject *stream)
{
    PyMethodDef *methods = Py_TYPE(stream)->tp_methods;
    return methods == stdout_methods || methods == stderr_methods;
}

// With a type of its own, which goes with it: the interpreter may have to be as new afterwards.
static PyObject *
new_stream(unsigned stream)
{
    PyType_Slot slots[] = {
        {Py_tp_methods, stream == SUBI_STDOUT ? stdout_methods : stderr_methods},
        {Py_tp_getset, stream_getset},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = "subinterpreters.ForwardedOutput", .flags = Py_TPFLAGS_DEFAULT, .slots = slots};
    PyObject *io = PyImport_ImportModule("_io");
    PyObject *base = io != NULL ? PyObject_GetAttrString(io, "_TextIOBase") : NULL;
    PyObject *type = base != NULL ? PyType_FromSpecWithBases(&spec, base) : NULL;
    PyObject *self = type != NULL ? PyObject_CallNoArgs(type) : NULL;
    Py_XDECREF(type);
    Py_XDECREF(base);
    Py_XDECREF(io);
    return self;
}

void
subi_output_begin(unsigned forwarded)
{
    for (int k = 0; k < STREAMS; k++) {
        PyObject *now = PySys_GetObject(streams[k].name);  // borrowed
        if ((forwarded & streams[k].bit) == 0 || now == NULL ||
            now != PySys_GetObject(streams[k].original)) {
            continue;
        }
        PyObject *stream = new_stream(streams[k].bit);
        if (stream == NULL || PySys_SetObject(streams[k].name, stream) < 0) {
            PyErr_Clear();  // then its own stream has to do
        }
        Py_XDECREF(stream);
    }
}

void
subi_output_end(unsigned forwarded)
{
    for (int k = 0; k < STREAMS; k++) {
        PyObject *now = PySys_GetObject(streams[k].name);           // borrowed
        PyObject *original = PySys_GetObject(streams[k].original);  // borrowed
        if ((forwarded & streams[k].bit) != 0 && now != NULL && is_ours(now) &&
            PySys_SetObject(streams[k].name, original) < 0) {
            PyErr_Clear();
        }
    }
}
