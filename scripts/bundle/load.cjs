// Loads a program of the bundle in this folder, with the code that compile.cjs has compiled in advance where there is some.
// Most commands take longer to compile than to run.
'use strict'
const fs = require('node:fs')
const path = require('node:path')
const vm = require('node:vm')

/** The modules that are loaded, and their scripts, by the names of their files. */
const loaded = new Map()

/** What a file of the bundle exports. */
function load(name) {
  const known = loaded.get(name)
  if (known) return known.module.exports
  const file = path.join(__dirname, name)
  const source = fs.readFileSync(file, 'utf8')
  const script = new vm.Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
    filename: file,
    cachedData: compiled(name),
  })
  const module = { exports: {} }
  loaded.set(name, { module, script })
  script.runInThisContext()(module.exports, requireFrom, module, file, __dirname)
  return module.exports
}

/** The files of the bundle require each other by `./name`, and packages and what is built into Node.js by their names. */
const requireFrom = name => (name.startsWith('./') ? load(name.slice(2)) : require(name))

/** Another version of Node.js has other code for the same file, whose name contains a hash of its content. */
const compiledFolder = path.join(__dirname, 'compiled')
const ownFolder = path.join(compiledFolder, `${process.version}-${process.arch}`)

function compiled(name) {
  try {
    return fs.readFileSync(path.join(ownFolder, name))
  } catch {
    return undefined
  }
}

/** Keeps the code of all that is loaded, and nothing else. A program that starts meanwhile finds a whole file or none. */
function keepCompiled() {
  const folder = `${ownFolder}.new`
  fs.rmSync(folder, { recursive: true, force: true })
  fs.mkdirSync(folder, { recursive: true })
  for (const [name, { script }] of loaded) fs.writeFileSync(path.join(folder, name), script.createCachedData())
  for (const old of fs.readdirSync(compiledFolder)) {
    if (old !== path.basename(folder)) fs.rmSync(path.join(compiledFolder, old), { recursive: true })
  }
  fs.renameSync(folder, ownFolder)
}

module.exports = { load, keepCompiled }
