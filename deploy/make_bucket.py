"""Make the bucket of the lake where there is none: ``python deploy/make_bucket.py NAME``.

Endpoint, region and keys come from the AWS_* variables, as for every other part.
"""

from __future__ import annotations

import sys

from pyarrow import fs

from paylake.store import access


def main(name: str) -> int:
    given = access()
    files = fs.S3FileSystem(
        access_key=given.key,
        secret_key=given.secret,
        region=given.region,
        endpoint_override=given.host or None,
        scheme="https" if given.is_encrypted else "http",
        allow_bucket_creation=True,
    )
    if files.get_file_info(name).type == fs.FileType.Directory:
        print("nothing to do")
        return 0
    files.create_dir(name)
    print(f"made bucket {name}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_bucket.py NAME")
    sys.exit(main(sys.argv[1]))
