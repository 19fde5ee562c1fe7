// Prints one JSON line for each member of a gzipped tar, read with Go's own archive/tar and compress/gzip.
package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
)

type member struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Mode   int64  `json:"mode"`
	Size   int64  `json:"size"`
	Link   string `json:"link"`
	SHA256 string `json:"sha256"`
	UID    int    `json:"uid"`
	GID    int    `json:"gid"`
	MTime  int64  `json:"mtime"`
}

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	stream, err := gzip.NewReader(file)
	if err != nil {
		log.Fatal(err)
	}
	stream.Multistream(false) // a second member would be a fault of the writer
	archive, out := tar.NewReader(stream), json.NewEncoder(os.Stdout)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		state := sha256.New()
		if _, err := io.Copy(state, archive); err != nil {
			log.Fatal(err)
		}
		line := member{header.Name, string(header.Typeflag), header.Mode, header.Size, header.Linkname,
			hex.EncodeToString(state.Sum(nil)), header.Uid, header.Gid, header.ModTime.Unix()}
		if err := out.Encode(line); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := io.Copy(io.Discard, stream); err != nil { // reads on to the trailer: CRC and length
		log.Fatal(err)
	}
}
