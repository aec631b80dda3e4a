# SPDX-License-Identifier: Apache-2.0
# The one logger, silent unless the program sets up logging.
import logging

logger = logging.getLogger("treering")
logger.addHandler(logging.NullHandler())
