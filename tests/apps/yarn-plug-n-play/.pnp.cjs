#!/usr/bin/env node
/* eslint-disable */
"use strict";

const RAW_RUNTIME_STATE =
'{"dependencyTreeRoots": [{"name": "clock", "reference": "workspace:."}], "enableTopLevelFallback": true}';
