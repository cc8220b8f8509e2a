#!/usr/bin/env python3
"""node: V8 beside our heap, worker threads, zlib, crypto, child processes."""
from pooled import Place, need

SCRIPT = r"""
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const zlib = require('zlib'), crypto = require('crypto'), { execSync } = require('child_process');
function heavy(seed) {
	const map = new Map();
	for (let i = 0; i < 100000; i++) {
		seed = (seed * 1103515245 + 12345) % 2147483648;
		map.set('k' + seed % 5003, { i, text: 'x'.repeat(i % 40) });
	}
	const text = JSON.stringify([...map.entries()].sort());
	const packed = zlib.brotliCompressSync(text, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 4 } });
	const back = zlib.brotliDecompressSync(packed).toString();
	return crypto.createHash('sha256').update(back).digest('hex') + ' ' + text.length;
}
if (!isMainThread) {
	parentPort.postMessage(heavy(workerData));
} else {
	console.log(heavy(1));
	console.log(execSync('echo child; seq 10000 | md5sum').toString());
	const buffers = [];
	for (let i = 0; i < 2000; i++) buffers.push(Buffer.alloc(i * 50, i % 256));
	console.log(crypto.createHash('md5').update(Buffer.concat(buffers)).digest('hex'));
	Promise.all([2, 3, 4].map((seed) => new Promise((done, no) => {
		const worker = new Worker(__filename, { workerData: seed });
		worker.on('message', done); worker.on('error', no);
	}))).then((all) => console.log(all.join('\n')));
}
"""

node = need("node")
with Place() as place:
    place.same([node, place.write("heavy.js", SCRIPT)])
