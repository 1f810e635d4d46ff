//go:build !linux

package main

import (
	"errors"
	"os/exec"
	"time"
)

var errSystem = errors.New("the load program reads CPU time and memory of other processes as Linux tells them; it runs on Linux only")

func checkSystem() error                 { return errSystem }
func tie(*exec.Cmd)                      {}
func cpuTime(int) (time.Duration, error) { return 0, errSystem }
func resident(int) (int64, error)        { return 0, errSystem }
func descriptors(int) (int, error)       { return 0, errSystem }
