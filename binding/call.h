// SPDX-License-Identifier: MIT
//
// Interpreter's methods that run something in it.
#ifndef SUBI_CALL_H
#define SUBI_CALL_H

#include "state.h"

PyObject *subi_interpreter_exec(PyObject *self, PyObject *args, PyObject *kwds);
PyObject *subi_interpreter_call(PyObject *self, PyObject *args, PyObject *kwds);
PyObject *subi_interpreter_call_now(PyObject *self, PyObject *args, PyObject *kwds);
PyObject *subi_interpreter_call_waiting(PyObject *self, PyObject *args, PyObject *kwds);
PyObject *subi_interpreter_call_in_thread(PyObject *self, PyObject *args, PyObject *kwds);
PyObject *subi_interpreter_submit(PyObject *self, PyObject *args, PyObject *kwds);
PyObject *subi_interpreter_call_async(PyObject *self, PyObject *args, PyObject *kwds);
PyObject *subi_interpreter_prepare_main(PyObject *self, PyObject *args, PyObject *kwds);

PyObject *subi_interpreter_interrupt(PyObject *self, PyObject *args);
PyObject *subi_interpreter_interrupt_run(PyObject *self, PyObject *number);

extern const char subi_interrupt_doc[];
extern const char subi_interrupt_run_doc[];
extern const char subi_exec_doc[];
extern const char subi_call_doc[];
extern const char subi_call_now_doc[];
extern const char subi_call_waiting_doc[];
extern const char subi_call_in_thread_doc[];
extern const char subi_submit_doc[];
extern const char subi_call_async_doc[];
extern const char subi_prepare_main_doc[];

#endif
