// Stands in for ncnn's header where only its Python package is: the same names and layout, and the network is run by
// that package (run_ncnn.py), so that a program's own code and the real engine are tested together.
#pragma once
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace ncnn {
struct Mat {
    int w = 0, h = 1, c = 1;
    std::shared_ptr<std::vector<float>> values;
    size_t start = 0;
    Mat() = default;
    Mat(int width, int height, int channels)
        : w(width), h(height), c(channels), values(new std::vector<float>(size_t(width) * height * channels)) {}
    void fill(float value) { values->assign(values->size(), value); }
    Mat channel(int index) const {
        Mat view(*this);
        view.c = 1;
        view.start = start + size_t(index) * w * h;
        return view;
    }
    float* row(int index) const { return values->data() + start + size_t(index) * w; }
    float& operator[](size_t index) const { return (*values)[start + index]; }
};

struct Extractor {
    std::string files;
    int input(const char*, const Mat& mat) {
        std::ofstream("in0.f32", std::ios::binary).write((char*)mat.row(0), std::streamsize(mat.values->size() * 4));
        return std::system((std::string(PYTHON " " RUN_NCNN " ") + files).c_str());
    }
    int extract(const char* name, Mat& mat) {
        std::ifstream file(std::string(name) + ".f32", std::ios::binary);
        int sides[3];
        file.read((char*)sides, sizeof sides);
        mat = Mat(sides[0], sides[1], sides[2]);
        return !file.read((char*)mat.row(0), std::streamsize(mat.values->size() * 4));
    }
};

struct Net {
    struct { int num_threads; bool use_fp16_packed, use_fp16_storage, use_fp16_arithmetic; } opt;
    std::string files;
    int load_param(const char* path) { return files += path, 0; }
    int load_model(const char* path) { return files += std::string(" ") + path, 0; }
    Extractor create_extractor() { return {files}; }
};
}  // namespace ncnn
