#!/bin/sh
exec perl serve.pl
