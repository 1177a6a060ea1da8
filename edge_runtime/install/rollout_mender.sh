#!/bin/sh
# An update module of Mender: the payload is one bundle. On the node it is the file
# /usr/share/mender/modules/v3/reid-edge, which may be run. An artifact for it, with Mender's own tool:
#   mender-artifact write module-image --type reid-edge --device-type camera-node --artifact-name shop-7 --file shop.bundle
# Mender calls it as `reid-edge STATE FOLDER`, the payload lies in FOLDER/files. Whatever fails, Mender asks for
# ArtifactRollback, maybe more than once: this goes back only from the engine of this bundle.
# Tried: each state, called by a test as Mender does. Not tried: a Mender client.
set -eu
config=${REID_EDGE_CONFIG:-/etc/reid-edge/site.yaml}
ready_within_s=${REID_EDGE_READY_S:-120}
case $1 in
NeedsArtifactReboot) echo No ;;
SupportsRollback) echo Yes ;;
ArtifactInstall) exec reid-edge install "$2"/files/* --config "$config" --wait-ready "$ready_within_s" ;;
ArtifactRollback) exec reid-edge rollback "$2"/files/* --config "$config" ;;
esac
