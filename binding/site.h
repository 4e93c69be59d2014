// SPDX-License-Identifier: MIT
//
// create(site="inherit"): an interpreter that takes over the caller's sys.path need not run CPython's module site,
// which finds it out once more and takes a third of the time that an interpreter costs.
#ifndef SUBI_SITE_H
#define SUBI_SITE_H

#include "state.h"

// Whether site has done nothing for the caller but to set its sys.path, as far as can be seen: there are no import
// hooks of others (editable installs have them) and no sitecustomize.
bool subi_site_is_plain(void);

// Attached to an interpreter that has been made without site: exit, quit and help, and sys.flags as it is with
// site. -1 with an exception.
int subi_site_stand_in(void);

// Whether interpreters that are made by a thread of this one, from now on, run site.
void subi_site_set(PyInterpreterState *interp, bool runs);

#endif
