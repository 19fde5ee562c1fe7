// Loaded before everything else in every process of a build: Next.js is told its build id. The app's own, if it has one, wins.
'use strict'
const Module = require('module')

const load = Module._load
const wrapped = new WeakMap()

Module._load = function (request, ...rest) {
  const loaded = load.call(this, request, ...rest)
  if (!/generate-build-id(?:\.js)?$/.test(request) || !loaded || typeof loaded.generateBuildId !== 'function') return loaded
  if (!wrapped.has(loaded)) {
    wrapped.set(loaded, {
      ...loaded,
      generateBuildId: async (own) => (own ? await own() : null) ?? process.env.FIXED_BUILD_ID,
    })
  }
  return wrapped.get(loaded)
}
