#!/bin/bash
exec perl serve.pl
