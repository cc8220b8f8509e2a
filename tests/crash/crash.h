#pragma once

int crash_main(int argc, char **argv);
