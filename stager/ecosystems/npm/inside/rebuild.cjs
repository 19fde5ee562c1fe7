// Runs the install scripts of one package in a sandbox, and packs its folder again, with what they made.
//
// usage: node rebuild.cjs OUT. The project at /app has one dependency, the package; its package.json names it, and under `inner`
// the places below it that are packages of their own. OUT takes one file, a tarball as a registry has them. In it is what the
// package had before, and of what is new all but what is left of compiling: objects, make files, lists of dependencies, and
// config.gypi, which has paths and the machine's settings in it. It is not compressed: how well zlib does depends on the processor.
'use strict'

const fs = require('fs')
const path = require('path')
const zlib = require('zlib')
const { spawn } = require('child_process')

const APP = '/app'
const EPOCH = 315532801
const DOWNLOADS = new RegExp(
  '\\b(ENOTFOUND|EAI_AGAIN|ENETUNREACH|ECONNREFUSED|ETIMEDOUT|getaddrinfo|ENOTCACHED)\\b|fetch failed|' +
    'network is unreachable|could not resolve host|network request|temporary failure in name resolution',
  'i'
)
const LEFT_FOLDERS = new Set(['.deps', 'obj.target', 'obj', 'node_gyp_bins', 'CMakeFiles'])
const LEFT_FILES =
  /\.(?:o|d|mk|a|lo|la|Makefile|tmp|log|ar-file-list)$|^(?:Makefile|config\.gypi|gyp-mac-tool|\.forge-meta|\.ninja_(?:deps|log))$/

function isLeft(name) {
  const parts = name.split('/')
  return parts.slice(0, -1).some((part) => LEFT_FOLDERS.has(part)) || LEFT_FILES.test(parts[parts.length - 1])
}

/** The regular files below a folder, without those below `inner`; a link counts where it leads to a file in the folder. */
function listed(folder, inner) {
  const found = []
  const top = fs.realpathSync(folder) + path.sep
  const walk = (below) => {
    for (const entry of fs.readdirSync(path.join(folder, below), { withFileTypes: true })) {
      const name = below ? `${below}/${entry.name}` : entry.name
      if (inner.includes(name)) continue
      if (entry.isDirectory()) walk(name)
      else if (entry.isFile()) found.push(name)
      else if (entry.isSymbolicLink()) {
        let real = ''
        try {
          real = fs.realpathSync(path.join(folder, name))
        } catch {
          continue
        }
        if (real.startsWith(top) && fs.statSync(real).isFile()) found.push(name)
      }
    }
  }
  walk('')
  return found
}

function octal(value, width) {
  return value.toString(8).padStart(width - 1, '0') + '\0'
}

function block(name, size, executable, kind) {
  const head = Buffer.alloc(512)
  head.write(name.subarray(0, 100).toString('latin1'), 0, 'latin1')
  head.write(octal(executable ? 0o755 : 0o644, 8) + octal(0, 8) + octal(0, 8) + octal(size, 12) + octal(EPOCH, 12), 100, 'latin1')
  head.write('        ' + kind, 148, 'latin1')
  head.write('ustar\x0000', 257, 'latin1')
  const sum = head.reduce((all, byte) => all + byte, 0)
  head.write(sum.toString(8).padStart(6, '0') + '\0 ', 148, 'latin1')
  return head
}

function padded(data) {
  return [data, Buffer.alloc((512 - (data.length % 512)) % 512)]
}

function record(name) {
  const rest = Buffer.concat([Buffer.from(' path='), name, Buffer.from('\n')])
  let length = rest.length + String(rest.length).length
  length = rest.length + String(length).length
  return Buffer.concat([Buffer.from(String(length)), rest])
}

function packed(folder, names) {
  const parts = []
  for (const name of names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))) {
    const file = path.join(folder, name)
    const data = fs.readFileSync(file)
    const whole = Buffer.from(`package/${name}`)
    if (whole.length > 100 || /[^\x20-\x7e]/.test(name)) {
      const more = record(whole)
      parts.push(block(Buffer.from('PaxHeader'), more.length, false, 'x'), ...padded(more))
    }
    parts.push(block(whole, data.length, (fs.statSync(file).mode & 0o100) !== 0, '0'), ...padded(data))
  }
  parts.push(Buffer.alloc(1024))
  return zlib.gzipSync(Buffer.concat(parts), { level: 0 })
}

function complain(name, said) {
  const ways = JSON.parse(fs.readFileSync(path.join(__dirname, 'ways.json'), 'utf8'))
  if (DOWNLOADS.test(said)) console.error(`${name}: its install script wants a download, and a build has no network`)
  if (ways[name]) console.error(`${name}: ${ways[name]}`)
}

function main(out) {
  const project = JSON.parse(fs.readFileSync(path.join(APP, 'package.json'), 'utf8'))
  const [name] = Object.keys(project.dependencies)
  const folder = path.join(APP, 'node_modules', name)
  const inner = project.inner || []
  const before = new Set(listed(folder, inner))
  const npm = path.join(path.dirname(process.execPath), '../lib/node_modules/npm/bin/npm-cli.js')
  const child = spawn(process.execPath, [npm, 'rebuild', '--foreground-scripts', name], {
    cwd: APP,
    env: { ...process.env, PATH: `${path.dirname(process.execPath)}:${process.env.PATH}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of ['stdout', 'stderr']) {
    child[stream].on('data', (data) => {
      process[stream].write(data)
      said = (said + data.toString('latin1')).slice(-(1 << 18))
    })
  }
  child.on('close', (status) => {
    if (status !== 0) {
      complain(name, said)
      process.exitCode = status || 1
      return
    }
    const after = listed(folder, inner).filter((file) => before.has(file) || !isLeft(file))
    if (!after.some((file) => file.endsWith('.node') && !before.has(file))) {
      console.error(`${name}: its install script ended well, and made no add-on (.node file)`)
      complain(name, said)
      process.exitCode = 1
      return
    }
    fs.mkdirSync(out, { recursive: true })
    fs.writeFileSync(path.join(out, `${name.replace(/^@/, '').replace('/', '-')}.tgz`), packed(folder, after))
  })
}

main(process.argv[2])
