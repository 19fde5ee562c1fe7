#include <Python.h>

static PyObject *total(PyObject *self, PyObject *cents)
{
    long sum = 0;
    for (Py_ssize_t i = 0; i < PySequence_Size(cents); i++) {
        PyObject *one = PySequence_GetItem(cents, i);
        sum += PyLong_AsLong(one);
        Py_DECREF(one);
    }
    return PyLong_FromLong(sum);
}

static PyMethodDef methods[] = {{"total", total, METH_O, "The sum of prices."}, {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "prices", NULL, -1, methods};

PyMODINIT_FUNC PyInit_prices(void)
{
    return PyModule_Create(&module);
}
